// SPDX-License-Identifier: GPL-2.0
/* Registers by KVM's numbers, for user space; while the vcpu is out. */
#include "kcn.h"

/* Where the page has a register. */
struct place {
	u64 id;
	u16 offset;
};

#define IN_PAGE(reg, field)	{ KVM_REG_PPC_##reg, offsetof(struct catnap_vcpu_page, field) }

static const struct place places[] = {
	IN_PAGE(DSCR, sprs.dscr),
	IN_PAGE(AMR, sprs.amr),
	IN_PAGE(UAMOR, sprs.uamor),
	IN_PAGE(IAMR, sprs.iamr),
	IN_PAGE(MMCR0, sprs.mmcr0),
	IN_PAGE(MMCR1, sprs.mmcr1),
	IN_PAGE(MMCR2, sprs.mmcr2),
	IN_PAGE(MMCRA, sprs.mmcra),
	IN_PAGE(MMCRS, sprs.mmcrs),
	IN_PAGE(SIAR, sprs.siar),
	IN_PAGE(SDAR, sprs.sdar),
	IN_PAGE(SIER, sprs.sier),
	IN_PAGE(PMC1, sprs.pmc[0]),
	IN_PAGE(PMC2, sprs.pmc[1]),
	IN_PAGE(PMC3, sprs.pmc[2]),
	IN_PAGE(PMC4, sprs.pmc[3]),
	IN_PAGE(PMC5, sprs.pmc[4]),
	IN_PAGE(PMC6, sprs.pmc[5]),
	IN_PAGE(SPMC1, sprs.spmc[0]),
	IN_PAGE(SPMC2, sprs.spmc[1]),
	IN_PAGE(TFHAR, sprs.tfhar),
	IN_PAGE(TFIAR, sprs.tfiar),
	IN_PAGE(TEXASR, sprs.texasr),
	IN_PAGE(FSCR, sprs.fscr),
	IN_PAGE(PSPB, sprs.pspb),
	IN_PAGE(EBBHR, sprs.ebbhr),
	IN_PAGE(EBBRR, sprs.ebbrr),
	IN_PAGE(BESCR, sprs.bescr),
	IN_PAGE(TAR, sprs.tar),
	IN_PAGE(DAWR, sprs.dawr),
	IN_PAGE(DAWRX, sprs.dawrx),
	IN_PAGE(CIABR, sprs.ciabr),
	IN_PAGE(IC, sprs.ic),
	IN_PAGE(VTB, sprs.vtb),
	IN_PAGE(CSIGR, sprs.csigr),
	IN_PAGE(TACR, sprs.tacr),
	IN_PAGE(TCSCR, sprs.tcscr),
	IN_PAGE(ACOP, sprs.acop),
	IN_PAGE(WORT, sprs.wort),
	IN_PAGE(VRSAVE, sprs.vrsave),
	IN_PAGE(PPR, sprs.ppr),
	IN_PAGE(DEC_EXPIRY, sprs.dec_expires_tb),
	IN_PAGE(FPSCR, fpscr),
	IN_PAGE(VSCR, vscr[1]),
};

static __be64 *in_page(struct kvm_vcpu *vcpu, u64 id)
{
	struct catnap_vcpu_page *page = kcn_of(vcpu)->page;
	int i;

	for (i = 0; i < ARRAY_SIZE(places); i++)
		if (places[i].id == id)
			return (__be64 *)((u8 *)page + places[i].offset);
	return NULL;
}

/* A vector register, as 16 bytes of this host's order; NULL: it is none. */
static __be64 *vector_in_page(struct kvm_vcpu *vcpu, u64 id)
{
	struct catnap_vcpu_page *page = kcn_of(vcpu)->page;

	if (id >= KVM_REG_PPC_VSR0 && id <= KVM_REG_PPC_VSR31)
		return page->vsr[id - KVM_REG_PPC_VSR0];
	if (id >= KVM_REG_PPC_VR0 && id <= KVM_REG_PPC_VR31)
		return page->vsr[32 + id - KVM_REG_PPC_VR0];
	return NULL;
}

static bool is_fpr(u64 id)
{
	return id >= KVM_REG_PPC_FPR0 && id <= KVM_REG_PPC_FPR31;
}

/* Registers that the firmware has no place for: they are kept for user space. */
static u64 *kept(struct kvm_vcpu *vcpu, u64 id)
{
	struct kvm_vcpu_arch *arch = &vcpu->arch;

	switch (id) {
	case KVM_REG_PPC_PURR:
		return (u64 *)&arch->purr;
	case KVM_REG_PPC_SPURR:
		return (u64 *)&arch->spurr;
	case KVM_REG_PPC_DABR:
		return (u64 *)&arch->dabr;
	case KVM_REG_PPC_VPA_ADDR:
		return (u64 *)&arch->vpa.next_gpa;
	default:
		return NULL;
	}
}

static u32 *kept_word(struct kvm_vcpu *vcpu, u64 id)
{
	switch (id) {
	case KVM_REG_PPC_DABRX:
		return &vcpu->arch.dabrx;
	case KVM_REG_PPC_ONLINE:
		return &vcpu->arch.online;
	case KVM_REG_PPC_PMC7:
		return &vcpu->arch.pmc[6];
	case KVM_REG_PPC_PMC8:
		return &vcpu->arch.pmc[7];
	default:
		return NULL;
	}
}

static struct kvmppc_vpa *area(struct kvm_vcpu *vcpu, u64 id)
{
	switch (id) {
	case KVM_REG_PPC_VPA_SLB:
		return &vcpu->arch.slb_shadow;
	case KVM_REG_PPC_VPA_DTL:
		return &vcpu->arch.dtl;
	default:
		return NULL;
	}
}

int kcn_get_one_reg(struct kvm_vcpu *vcpu, u64 id, union kvmppc_one_reg *val)
{
	struct kcn_vm *vm = kcn_vm_of(vcpu->kvm);
	struct kvmppc_vpa *vpa = area(vcpu, id);
	__be64 *place = in_page(vcpu, id), *vector = vector_in_page(vcpu, id);

	if (place) {
		*val = get_reg_val(id, be64_to_cpu(*place));
	} else if (vector) {
		val->vsxval[TS_FPROFFSET] = be64_to_cpu(vector[0]);
		val->vsxval[TS_VSRLOWOFFSET] = be64_to_cpu(vector[1]);
	} else if (is_fpr(id)) {
		val->dval = be64_to_cpu(kcn_of(vcpu)->page->vsr[id - KVM_REG_PPC_FPR0][0]);
	} else if (kept(vcpu, id)) {
		val->dval = *kept(vcpu, id);
	} else if (kept_word(vcpu, id)) {
		val->wval = *kept_word(vcpu, id);
	} else if (vpa) {
		val->vpaval.addr = vpa->next_gpa;
		val->vpaval.length = vpa->len;
	} else {
		switch (id) {
		case KVM_REG_PPC_DEBUG_INST:
			/* KVM's common code would say that it is a trap, which is the guest's own. */
			val->wval = KVMPPC_INST_SW_BREAKPOINT;
			break;
		case KVM_REG_PPC_HIOR:
			val->dval = 0;
			break;
		case KVM_REG_PPC_PID:
			val->dval = vcpu->arch.pid;
			break;
		case KVM_REG_PPC_DPDES:
			mutex_lock(&vm->lock);
			val->dval = kcn_doorbells(kcn_of(vcpu)->vcore);
			mutex_unlock(&vm->lock);
			break;
		case KVM_REG_PPC_ARCH_COMPAT:
			val->wval = kcn_of(vcpu)->shadow.arch_compat;
			break;
		case KVM_REG_PPC_TB_OFFSET:
			val->dval = vm->tb_offset;
			break;
		case KVM_REG_PPC_LPCR:
		case KVM_REG_PPC_LPCR_64:
			*val = get_reg_val(id, vm->lpcr);
			break;
		default:
			return -EINVAL;
		}
	}
	return 0;
}

/* Of the whole machine: the partition is made anew with it. */
static void set_of_machine(struct kvm_vcpu *vcpu, u64 *what, u64 value)
{
	struct kcn_vm *vm = kcn_vm_of(vcpu->kvm);
	struct kvm_vcpu *other;
	unsigned long i;

	mutex_lock(&vm->lock);
	if (*what != value) {
		*what = value;
		kvm_for_each_vcpu(i, other, vcpu->kvm) {
			kcn_of(other)->shadow.tb_offset = vm->tb_offset;
			kcn_of(other)->shadow.lpcr = vm->lpcr;
		}
		kcn_vm_stale(vm);
	}
	mutex_unlock(&vm->lock);
}

/* Decrementers, which count down to a time of the guest's, have as far to go as before. */
static void set_tb_offset(struct kvm_vcpu *vcpu, u64 value)
{
	struct kcn_vm *vm = kcn_vm_of(vcpu->kvm);
	struct kvm_vcpu *other;
	unsigned long i;
	u64 later;

	mutex_lock(&vm->lock);
	later = value - vm->tb_offset;
	kvm_for_each_vcpu(i, other, vcpu->kvm)
		be64_add_cpu(&kcn_of(other)->page->sprs.dec_expires_tb, later);
	mutex_unlock(&vm->lock);
	set_of_machine(vcpu, &vm->tb_offset, value);
}

/* What a guest may have of it. */
static u64 lpcr_of(u64 value)
{
	value &= CATNAP_LPCR_CHOICE;
	/* Interrupts have two places, and not those between. */
	if ((value & CATNAP_LPCR_AIL_3) != CATNAP_LPCR_AIL_3)
		value &= ~CATNAP_LPCR_AIL_3;
	return value | CATNAP_LPCR_ONL;
}

static int set_other(struct kvm_vcpu *vcpu, u64 id, const union kvmppc_one_reg *val)
{
	struct kcn_vm *vm = kcn_vm_of(vcpu->kvm);

	switch (id) {
	case KVM_REG_PPC_HIOR:
		/* Interrupts have no other place. */
		return val->dval ? -EINVAL : 0;
	case KVM_REG_PPC_PID:
		vcpu->arch.pid = val->dval;
		return 0;
	case KVM_REG_PPC_DPDES:
		mutex_lock(&vm->lock);
		kcn_of(vcpu)->vcore->doorbells = val->dval;
		kcn_ring(kcn_of(vcpu)->vcore);
		mutex_unlock(&vm->lock);
		return 0;
	case KVM_REG_PPC_ARCH_COMPAT:
		/* Guests have all of POWER8: nothing makes it an older processor. */
		if (val->wval && val->wval != PVR_ARCH_207)
			return -EINVAL;
		kcn_of(vcpu)->shadow.arch_compat = val->wval;
		return 0;
	case KVM_REG_PPC_TB_OFFSET:
		set_tb_offset(vcpu, ALIGN(val->dval, 1UL << 24));
		return 0;
	case KVM_REG_PPC_LPCR:
	case KVM_REG_PPC_LPCR_64:
		set_of_machine(vcpu, &vm->lpcr, lpcr_of(set_reg_val(id, *val)));
		return 0;
	default:
		return -EINVAL;
	}
}

int kcn_set_one_reg(struct kvm_vcpu *vcpu, u64 id, union kvmppc_one_reg *val)
{
	struct kvmppc_vpa *vpa = area(vcpu, id);
	__be64 *place = in_page(vcpu, id), *vector = vector_in_page(vcpu, id);

	if (place) {
		*place = cpu_to_be64(set_reg_val(id, *val));
	} else if (vector) {
		vector[0] = cpu_to_be64(val->vsxval[TS_FPROFFSET]);
		vector[1] = cpu_to_be64(val->vsxval[TS_VSRLOWOFFSET]);
	} else if (is_fpr(id)) {
		kcn_of(vcpu)->page->vsr[id - KVM_REG_PPC_FPR0][0] = cpu_to_be64(val->dval);
	} else if (kept(vcpu, id)) {
		*kept(vcpu, id) = val->dval;
	} else if (kept_word(vcpu, id)) {
		*kept_word(vcpu, id) = val->wval;
	} else if (vpa) {
		vpa->next_gpa = val->vpaval.addr;
		vpa->len = val->vpaval.length;
	} else {
		return set_other(vcpu, id, val);
	}
	return 0;
}
