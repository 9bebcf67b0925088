// SPDX-License-Identifier: GPL-2.0
/* Page faults of guests: what is theirs goes back to them, the rest is put right or emulated. */
#include "kcn.h"

/* HSRR1 after a fetch: no entry, no execution there, no right. */
#define FETCH_CAUSES	(SRR1_ISI_NOPT | SRR1_ISI_N_G_OR_CIP | SRR1_ISI_PROT)

/* RS of the SLB entry that covers an address; 0: none does. */
u64 kcn_slb_find(const struct catnap_vcpu_page *page, u64 ea)
{
	u64 count = min_t(u64, be64_to_cpu(page->slb_count), CATNAP_SLB_ENTRIES);
	u64 i;

	for (i = 0; i < count; i++) {
		u64 esid = be64_to_cpu(page->slb[i].esid);
		u64 vsid = be64_to_cpu(page->slb[i].vsid);
		u64 mask = vsid & SLB_VSID_B_1T ? ESID_MASK_1T : ESID_MASK;

		if (esid & SLB_ESID_V && !((ea ^ esid) & mask))
			return vsid;
	}
	return 0;
}

static int to_guest(struct kcn_vcpu *kv, u64 ea, u32 cause, bool data)
{
	struct kvm_vcpu *vcpu = kv->vcpu;

	if (data) {
		vcpu->arch.shregs.dar = ea;
		vcpu->arch.shregs.dsisr = cause;
		kcn_inject(vcpu, BOOK3S_INTERRUPT_DATA_STORAGE, 0);
	} else {
		kcn_inject(vcpu, BOOK3S_INTERRUPT_INST_STORAGE, cause & FETCH_CAUSES);
	}
	return RESUME_GUEST;
}

static int no_segment(struct kcn_vcpu *kv, u64 ea, bool data)
{
	kv->vcpu->arch.shregs.dar = ea;
	kcn_inject(kv->vcpu, data ? BOOK3S_INTERRUPT_DATA_SEGMENT : BOOK3S_INTERRUPT_INST_SEGMENT, 0);
	return RESUME_GUEST;
}

/* Nobody's memory: the instruction is emulated, and user space asked. */
static int access_device(struct kcn_vcpu *kv, u64 gpa, u64 ea)
{
	struct kvm_vcpu *vcpu = kv->vcpu;

	kcn_fp_to_arch(kv);
	vcpu->arch.last_inst = KVM_INST_FETCH_FAILED;
	vcpu->arch.paddr_accessed = gpa;
	vcpu->arch.vaddr_accessed = ea;
	return kvmppc_emulate_mmio(vcpu) & RESUME_FLAG_HOST ? RESUME_HOST : RESUME_GUEST;
}

/*
 * An entry that the helper has found, of a page that the guest has: absent, or without a right that the
 * guest has given. It gets the page, and the guest's rights.
 */
static void put_right(struct kvm *kvm, long index, const unsigned long found[2], u64 pa)
{
	__be64 *hpte = (__be64 *)(kvm->arch.hpt.virt + (index << 4));
	struct revmap_entry *rev = &kvm->arch.hpt.rev[index];
	unsigned long v, r, psize;

	preempt_disable();
	while (!try_lock_hpte(hpte, HPTE_V_HVLOCK))
		cpu_relax();
	v = be64_to_cpu(hpte[0]) & ~HPTE_V_HVLOCK;
	r = be64_to_cpu(hpte[1]);
	/* Another vcpu was faster: the guest tries again. */
	if (v != found[0] || r != found[1]) {
		unlock_hpte(hpte, v);
		preempt_enable();
		return;
	}
	psize = kvmppc_actual_pgsz(v, r);
	r = (rev->guest_rpte & ~(HPTE_R_PP0 - psize)) | pa;
	if (v & HPTE_V_VALID) {
		kvmppc_invalidate_hpte(kvm, hpte, index);
	} else {
		rev->forw = index;
		rev->back = index;
	}
	hpte[1] = cpu_to_be64(r);
	unlock_hpte(hpte, (v & ~HPTE_V_ABSENT) | HPTE_V_VALID);
	asm volatile("ptesync" : : : "memory");
	preempt_enable();
}

/* The helper has found an entry, and no cause that the guest could do something about. */
static int host_work(struct kcn_vcpu *kv, u64 ea, bool data)
{
	struct kvm_vcpu *vcpu = kv->vcpu;
	unsigned long found[2] = { vcpu->arch.pgfault_hpte[0] & ~HPTE_V_HVLOCK,
				   vcpu->arch.pgfault_hpte[1] };
	struct kvmppc_pte pte;
	bool may_write;
	u64 pa, psize;

	if (kcn_xlate(vcpu, ea, &pte, data, false))
		return RESUME_GUEST;
	if (!kcn_gfn_to_pa(kcn_vm_of(vcpu->kvm), pte.raddr >> PAGE_SHIFT, &pa, &may_write)) {
		if (!data)
			return to_guest(kv, ea, SRR1_ISI_N_G_OR_CIP, false);
		return access_device(kv, pte.raddr, ea);
	}
	psize = kvmppc_actual_pgsz(found[0], found[1]);
	/* Memory that is read alone is written by emulation, as a device's. */
	if (!may_write || psize > PAGE_SIZE)
		return data ? access_device(kv, pte.raddr, ea) : RESUME_GUEST;
	pa |= pte.raddr & ~PAGE_MASK & ~(psize - 1);
	put_right(vcpu->kvm, vcpu->arch.pgfault_index, found, pa);
	return RESUME_GUEST;
}

static int fault(struct kcn_vcpu *kv, u64 ea, u32 cause, bool data)
{
	struct kvm_vcpu *vcpu = kv->vcpu;
	u64 slb = vcpu->kvm->arch.vrma_slb_v;
	long answer;

	if (vcpu->arch.shregs.msr & (data ? MSR_DR : MSR_IR)) {
		slb = kcn_slb_find(kv->page, ea);
		if (!slb)
			return no_segment(kv, ea, data);
	}
	if (!(cause & (DSISR_NOHPTE | DSISR_PROTFAULT)))
		return to_guest(kv, ea, cause, data);
	preempt_disable();
	answer = kvmppc_hpte_hv_fault(vcpu, ea, slb, cause, data);
	preempt_enable();
	switch (answer) {
	case 0:
		return RESUME_GUEST;
	case -1:
	case -2:
		return host_work(kv, ea, data);
	default:
		return to_guest(kv, ea, answer, data);
	}
}

int kcn_data_fault(struct kcn_vcpu *kv)
{
	const struct catnap_firmware_line *told = &kv->page->firmware;

	return fault(kv, be64_to_cpu(told->hdar), be32_to_cpu(told->hdsisr), true);
}

int kcn_fetch_fault(struct kcn_vcpu *kv)
{
	return fault(kv, kv->vcpu->arch.regs.nip, be64_to_cpu(kv->page->firmware.srr1), false);
}
