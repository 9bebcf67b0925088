// SPDX-License-Identifier: GPL-2.0
/* Vcpus: their pages, and the registers that KVM keeps itself. */
#include <linux/slab.h>
#include "kcn.h"

/* Of SRR1: what an interrupt tells there (Power ISA 2.07 Book III-S 6.5). */
#define SRR1_CAUSES	0x783f0000ULL
/* Where interrupts go with LPCR[AIL] = 3. */
#define AIL_3_OFFSET	0xc000000000004000ULL

static struct catnap_vcpu_page *new_page(void)
{
	/* Aligned to its size, and one piece of real memory. */
	struct catnap_vcpu_page *page = kzalloc(sizeof(*page), GFP_KERNEL_ACCOUNT);

	if (!page)
		return NULL;
	page->host.magic = cpu_to_be32(CATNAP_MAGIC);
	page->host.version = cpu_to_be32(CATNAP_VERSION);
	page->host.flags = cpu_to_be64(CATNAP_FLAG_FP);
	page->sprs.mmcr0 = cpu_to_be64(CATNAP_MMCR0_FROZEN);
	page->sprs.ctrl = cpu_to_be64(1);
	/* Medium priority. */
	page->sprs.ppr = cpu_to_be64(4ULL << 50);
	page->sprs.dec_expires_tb = cpu_to_be64(mftb() + 0x7fffffff);
	return page;
}

static struct kcn_vcore *vcore_for(struct kcn_vm *vm, unsigned int number)
{
	struct kcn_vcore *vc;

	if (number >= KCN_MAX_VCORES)
		return NULL;
	vc = vm->vcores[number];
	if (!vc) {
		vc = kzalloc(sizeof(*vc), GFP_KERNEL_ACCOUNT);
		if (!vc)
			return NULL;
		spin_lock_init(&vc->lock);
		vc->vm = vm;
		vm->vcores[number] = vc;
	}
	return vc;
}

static void set_up_arch(struct kvm_vcpu *vcpu, struct kcn_vcpu *kv)
{
	vcpu->arch.vcore = &kv->shadow;
	vcpu->arch.shared = &vcpu->arch.shregs;
#ifdef CONFIG_KVM_BOOK3S_PR_POSSIBLE
	vcpu->arch.shared_big_endian = IS_ENABLED(CONFIG_CPU_BIG_ENDIAN);
#endif
	vcpu->arch.cpu_type = KVM_CPU_3S_64;
	vcpu->arch.pvr = mfspr(SPRN_PVR);
	vcpu->arch.slb_nr = CATNAP_SLB_ENTRIES;
	vcpu->arch.mmu.xlate = kcn_xlate;
	vcpu->arch.shregs.msr = MSR_ME;
	vcpu->arch.last_inst = KVM_INST_FETCH_FAILED;
	spin_lock_init(&vcpu->arch.vpa_update_lock);
	spin_lock_init(&vcpu->arch.tbacct_lock);
}

int kcn_vcpu_create(struct kvm_vcpu *vcpu)
{
	struct kcn_vm *vm = kcn_vm_of(vcpu->kvm);
	struct kcn_vcpu *kv = kzalloc(sizeof(*kv), GFP_KERNEL_ACCOUNT);
	unsigned int width;
	int error = -ENOMEM;

	if (!kv)
		return -ENOMEM;
	kv->page = new_page();
	if (!kv->page)
		goto free;
	mutex_lock(&vm->lock);
	width = vcpu->kvm->arch.smt_mode;
	kv->slot = vcpu->vcpu_id % width;
	kv->vcpu = vcpu;
	kv->is_out = true;
	kv->shadow.kvm = vcpu->kvm;
	kv->shadow.tb_offset = vm->tb_offset;
	kv->shadow.lpcr = vm->lpcr;
	error = -EINVAL;
	kv->vcore = vcore_for(vm, vcpu->vcpu_id / width);
	if (!kv->vcore || kv->vcore->vcpus[kv->slot])
		goto unlock;
	kv->vcore->vcpus[kv->slot] = kv;
	set_up_arch(vcpu, kv);
	WRITE_ONCE(vm->is_ready, false);
	mutex_unlock(&vm->lock);
	return 0;
unlock:
	mutex_unlock(&vm->lock);
	kfree(kv->page);
free:
	kfree(kv);
	return error;
}

void kcn_vcpu_free(struct kvm_vcpu *vcpu)
{
	struct kcn_vcpu *kv = kcn_of(vcpu);
	struct kcn_vm *vm = kcn_vm_of(vcpu->kvm);
	s64 status = 0;

	hrtimer_cancel(&vcpu->arch.dec_timer);
	mutex_lock(&vm->lock);
	if (kv->exists)
		status = kcn_call3(CATNAP_TOKEN_VCPU_DESTROY, kv->vcore->handle, kv->slot, 0, NULL);
	kv->vcore->made &= ~kcn_bit(kv);
	kv->vcore->vcpus[kv->slot] = NULL;
	mutex_unlock(&vm->lock);
	/* The page of a vcpu that the firmware holds on to is the firmware's. */
	if (!WARN_ONCE(status, "kvm-catnap: a vcpu stays: %lld\n", status))
		kfree(kv->page);
	vcpu->arch.vcore = NULL;
	kfree(kv);
}

/* From the page to where KVM's common code looks. */
void kcn_load(struct kcn_vcpu *kv)
{
	struct kvm_vcpu_arch *arch = &kv->vcpu->arch;
	const struct catnap_vcpu_page *page = kv->page;
	int i;

#pragma GCC unroll 32
	for (i = 0; i < 32; i++)
		arch->regs.gpr[i] = be64_to_cpu(page->gpr[i]);
	arch->regs.nip = be64_to_cpu(page->pc);
	arch->regs.ccr = be64_to_cpu(page->cr);
	arch->regs.link = be64_to_cpu(page->lr);
	arch->regs.ctr = be64_to_cpu(page->ctr);
	arch->regs.xer = be64_to_cpu(page->xer);
	arch->shregs.msr = be64_to_cpu(page->msr);
	arch->shregs.srr0 = be64_to_cpu(page->sprs.srr0);
	arch->shregs.srr1 = be64_to_cpu(page->sprs.srr1);
	arch->shregs.sprg0 = be64_to_cpu(page->sprs.sprg[0]);
	arch->shregs.sprg1 = be64_to_cpu(page->sprs.sprg[1]);
	arch->shregs.sprg2 = be64_to_cpu(page->sprs.sprg[2]);
	arch->shregs.sprg3 = be64_to_cpu(page->sprs.sprg[3]);
	arch->shregs.dar = be64_to_cpu(page->sprs.dar);
	arch->shregs.dsisr = be64_to_cpu(page->sprs.dsisr);
	arch->pid = be64_to_cpu(page->sprs.pid);
	arch->last_inst = KVM_INST_FETCH_FAILED;
}

void kcn_fp_to_arch(struct kcn_vcpu *kv)
{
	struct kvm_vcpu_arch *arch = &kv->vcpu->arch;
	const struct catnap_vcpu_page *page = kv->page;
	u64 *vr;
	int i;

	for (i = 0; i < 32; i++) {
		arch->fp.fpr[i][TS_FPROFFSET] = be64_to_cpu(page->vsr[i][0]);
		arch->fp.fpr[i][TS_VSRLOWOFFSET] = be64_to_cpu(page->vsr[i][1]);
		vr = (u64 *)&arch->vr.vr[i];
		vr[TS_FPROFFSET] = be64_to_cpu(page->vsr[32 + i][0]);
		vr[TS_VSRLOWOFFSET] = be64_to_cpu(page->vsr[32 + i][1]);
	}
	kv->has_fp_in_arch = true;
}

static void fp_from_arch(struct kcn_vcpu *kv)
{
	struct kvm_vcpu_arch *arch = &kv->vcpu->arch;
	struct catnap_vcpu_page *page = kv->page;
	u64 *vr;
	int i;

	for (i = 0; i < 32; i++) {
		page->vsr[i][0] = cpu_to_be64(arch->fp.fpr[i][TS_FPROFFSET]);
		page->vsr[i][1] = cpu_to_be64(arch->fp.fpr[i][TS_VSRLOWOFFSET]);
		vr = (u64 *)&arch->vr.vr[i];
		page->vsr[32 + i][0] = cpu_to_be64(vr[TS_FPROFFSET]);
		page->vsr[32 + i][1] = cpu_to_be64(vr[TS_VSRLOWOFFSET]);
	}
	kv->has_fp_in_arch = false;
}

/* And back, before the firmware has the vcpu again. */
void kcn_store(struct kcn_vcpu *kv)
{
	const struct kvm_vcpu_arch *arch = &kv->vcpu->arch;
	struct catnap_vcpu_page *page = kv->page;
	int i;

#pragma GCC unroll 32
	for (i = 0; i < 32; i++)
		page->gpr[i] = cpu_to_be64(arch->regs.gpr[i]);
	page->pc = cpu_to_be64(arch->regs.nip);
	page->cr = cpu_to_be64(arch->regs.ccr);
	page->lr = cpu_to_be64(arch->regs.link);
	page->ctr = cpu_to_be64(arch->regs.ctr);
	page->xer = cpu_to_be64(arch->regs.xer);
	page->msr = cpu_to_be64(arch->shregs.msr);
	page->sprs.srr0 = cpu_to_be64(arch->shregs.srr0);
	page->sprs.srr1 = cpu_to_be64(arch->shregs.srr1);
	page->sprs.sprg[0] = cpu_to_be64(arch->shregs.sprg0);
	page->sprs.sprg[1] = cpu_to_be64(arch->shregs.sprg1);
	page->sprs.sprg[2] = cpu_to_be64(arch->shregs.sprg2);
	page->sprs.sprg[3] = cpu_to_be64(arch->shregs.sprg3);
	page->sprs.dar = cpu_to_be64(arch->shregs.dar);
	page->sprs.dsisr = cpu_to_be64(arch->shregs.dsisr);
	page->sprs.pid = cpu_to_be64(arch->pid);
	if (kv->has_fp_in_arch)
		fp_from_arch(kv);
}

void kcn_set_msr(struct kvm_vcpu *vcpu, u64 msr)
{
	/* No transactions, and never a hypervisor. */
	vcpu->arch.shregs.msr = (msr & ~(MSR_HV | MSR_TM | MSR_TS_MASK)) | MSR_ME;
}

/* Has the guest begin with an interrupt; while the vcpu is out. */
void kcn_inject(struct kvm_vcpu *vcpu, int vector, u64 srr1_flags)
{
	u64 lpcr = kcn_vm_of(vcpu->kvm)->lpcr;
	u64 msr = vcpu->arch.shregs.msr, to = MSR_SF | MSR_ME;
	u64 pc = vector;

	if (lpcr & CATNAP_LPCR_ILE)
		to |= MSR_LE;
	if ((lpcr & CATNAP_LPCR_AIL_3) == CATNAP_LPCR_AIL_3 && (msr & MSR_IR) && (msr & MSR_DR) &&
	    vector != BOOK3S_INTERRUPT_SYSTEM_RESET && vector != BOOK3S_INTERRUPT_MACHINE_CHECK) {
		to |= MSR_IR | MSR_DR;
		pc += AIL_3_OFFSET;
	}
	vcpu->arch.shregs.srr0 = vcpu->arch.regs.nip;
	vcpu->arch.shregs.srr1 = (msr & ~SRR1_CAUSES) | srr1_flags;
	vcpu->arch.regs.nip = pc;
	vcpu->arch.shregs.msr = to;
}

int kcn_vcpu_run(struct kvm_vcpu *vcpu)
{
	struct kcn_vcpu *kv = kcn_of(vcpu);
	int result;

	if (!vcpu->arch.sane) {
		vcpu->run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
		return -EINVAL;
	}
	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	result = kcn_step_begin(kv);
	if (result <= 0)
		return result;
	kcn_store(kv);
	result = kcn_vcpu_enter(kv);
	kcn_step_end(kv);
	if (result == -EINTR) {
		kcn_load(kv);
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		vcpu->stat.signal_exits++;
	}
	return result;
}

int kcn_get_sregs(struct kvm_vcpu *vcpu, struct kvm_sregs *sregs)
{
	const struct catnap_vcpu_page *page = kcn_of(vcpu)->page;
	u64 i, count = min_t(u64, be64_to_cpu(page->slb_count), CATNAP_SLB_ENTRIES);

	sregs->pvr = vcpu->arch.pvr;
	for (i = 0; i < count; i++) {
		sregs->u.s.ppc64.slb[i].slbe = be64_to_cpu(page->slb[i].esid);
		sregs->u.s.ppc64.slb[i].slbv = be64_to_cpu(page->slb[i].vsid);
	}
	return 0;
}

int kcn_set_sregs(struct kvm_vcpu *vcpu, struct kvm_sregs *sregs)
{
	struct catnap_vcpu_page *page = kcn_of(vcpu)->page;
	int i, count = 0;

	/* No guest sees another processor than there is. */
	if (sregs->pvr != vcpu->arch.pvr)
		return -EINVAL;
	for (i = 0; i < CATNAP_SLB_ENTRIES; i++) {
		if (!(sregs->u.s.ppc64.slb[i].slbe & SLB_ESID_V))
			continue;
		/* Each at a place of its own, whatever it says. */
		page->slb[count].esid = cpu_to_be64((sregs->u.s.ppc64.slb[i].slbe &
						     (ESID_MASK | SLB_ESID_V)) | count);
		page->slb[count].vsid = cpu_to_be64(sregs->u.s.ppc64.slb[i].slbv);
		count++;
	}
	page->slb_count = cpu_to_be64(count);
	return 0;
}
