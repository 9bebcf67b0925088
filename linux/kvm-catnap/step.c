// SPDX-License-Identifier: GPL-2.0
/*
 * Single steps for a debugger. The processor's trace interrupt is the guest's own, so that a step is a
 * breakpoint for one run: at the instruction that comes next by the registers as they are. What the guest is
 * interrupted by meanwhile runs to its end.
 */
#include "kcn.h"

#define LK_AA_BITS	3UL

/* Fields of an instruction (Power ISA 2.07 Book I 1.6). */
static u32 opcode(u32 inst)
{
	return inst >> 26;
}

static u32 extended(u32 inst)
{
	return (inst >> 1) & 0x3ff;
}

/* Whether a conditional branch is taken: by CTR, if it counts, and by a bit of CR. */
static bool is_taken(const struct kvm_vcpu *vcpu, u32 inst, bool counts)
{
	u32 bo = (inst >> 21) & 31, bi = (inst >> 16) & 31;
	u64 ctr = vcpu->arch.regs.ctr - 1;
	bool cr = vcpu->arch.regs.ccr >> (31 - bi) & 1;

	if (!(vcpu->arch.shregs.msr & MSR_SF))
		ctr = (u32)ctr;
	if (counts && !(bo & 4) && (ctr != 0) == (bool)(bo & 2))
		return false;
	return bo & 16 || cr == (bool)(bo & 8);
}

static u64 after_branch_to_register(struct kcn_vcpu *kv, u32 inst)
{
	struct kvm_vcpu *vcpu = kv->vcpu;
	u64 next = vcpu->arch.regs.nip + 4;

	switch (extended(inst)) {
	case 16:
		return is_taken(vcpu, inst, true) ? vcpu->arch.regs.link & ~LK_AA_BITS : next;
	case 528:
		return is_taken(vcpu, inst, false) ? vcpu->arch.regs.ctr & ~LK_AA_BITS : next;
	case 560:
		return is_taken(vcpu, inst, true) ? be64_to_cpu(kv->page->sprs.tar) & ~LK_AA_BITS : next;
	case 18:
		return vcpu->arch.shregs.srr0 & ~LK_AA_BITS;
	default:
		return next;
	}
}

/* Where the guest is after its next instruction. */
static u64 next_pc(struct kcn_vcpu *kv, u32 inst)
{
	struct kvm_vcpu *vcpu = kv->vcpu;
	u64 pc = vcpu->arch.regs.nip, base = inst & 2 ? 0 : pc, next = pc + 4;

	switch (opcode(inst)) {
	case 18:
		next = base + sign_extend64(inst & 0x03fffffc, 25);
		break;
	case 16:
		if (is_taken(vcpu, inst, true))
			next = base + sign_extend64(inst & 0xfffc, 15);
		break;
	case 19:
		next = after_branch_to_register(kv, inst);
		break;
	}
	return vcpu->arch.shregs.msr & MSR_SF ? next : (u32)next;
}

/* Where the guest's memory has an instruction; false: nowhere. */
static bool find_text(struct kvm_vcpu *vcpu, u64 ea, u64 *gpa)
{
	struct kvmppc_pte pte;

	if (kcn_xlate(vcpu, ea, &pte, false, false))
		return false;
	*gpa = pte.raddr & ~3ULL;
	return true;
}

static bool is_little_endian(const struct kvm_vcpu *vcpu)
{
	return vcpu->arch.shregs.msr & MSR_LE;
}

static u32 in_order(u32 inst, bool little)
{
	return little ? (__force u32)cpu_to_le32(inst) : (__force u32)cpu_to_be32(inst);
}

/* Another vcpu whose step ends at this place of the guest's memory; under step_lock. */
static struct kcn_vcpu *other_step(struct kcn_vcpu *kv, u64 gpa)
{
	struct kvm_vcpu *other;
	unsigned long i;

	kvm_for_each_vcpu(i, other, kv->vcpu->kvm)
		if (other != kv->vcpu && kcn_of(other)->is_stepping && kcn_of(other)->step_gpa == gpa)
			return kcn_of(other);
	return NULL;
}

/* What comes next, behind another vcpu's step, too; 0, which is no instruction, if it can't be read. */
static u32 next_inst(struct kcn_vcpu *kv)
{
	struct kvm_vcpu *vcpu = kv->vcpu;
	struct kcn_vm *vm = kcn_vm_of(vcpu->kvm);
	struct kcn_vcpu *other;
	u32 text = 0;
	u64 gpa;

	if (!find_text(vcpu, vcpu->arch.regs.nip, &gpa))
		return 0;
	mutex_lock(&vm->step_lock);
	other = other_step(kv, gpa);
	if (other)
		text = other->step_text;
	else if (kvm_read_guest(vcpu->kvm, gpa, &text, sizeof(text)))
		text = 0;
	mutex_unlock(&vm->step_lock);
	return in_order(text, is_little_endian(vcpu));
}

/* Vcpus that step to the same place share the breakpoint. False: it can't be put there. */
static bool put_breakpoint(struct kcn_vcpu *kv, u64 gpa)
{
	struct kcn_vm *vm = kcn_vm_of(kv->vcpu->kvm);
	struct kcn_vcpu *other;

	mutex_lock(&vm->step_lock);
	other = other_step(kv, gpa);
	kv->step_gpa = gpa;
	kv->step_text = other ? other->step_text : KVMPPC_INST_SW_BREAKPOINT;
	kv->is_stepping = other || kcn_exchange_text(vm, gpa, &kv->step_text);
	mutex_unlock(&vm->step_lock);
	return kv->is_stepping;
}

/* The breakpoint of a step; false: it can't be put there. */
static bool plant(struct kcn_vcpu *kv, u32 inst)
{
	struct kvm_vcpu *vcpu = kv->vcpu;
	u64 gpa, msr = vcpu->arch.shregs.msr;
	bool is_there;

	/* It is the same in both orders of bytes. */
	BUILD_BUG_ON(swab32(KVMPPC_INST_SW_BREAKPOINT) != KVMPPC_INST_SW_BREAKPOINT);
	if (!kv->step_to) {
		kv->step_to = next_pc(kv, inst) | 1;
		/* By rfid it may come to other translations and another order of bytes. */
		if (opcode(inst) == 19 && extended(inst) == 18)
			vcpu->arch.shregs.msr = vcpu->arch.shregs.srr1;
	}
	is_there = find_text(vcpu, kv->step_to & ~1ULL, &gpa);
	vcpu->arch.shregs.msr = msr;
	return is_there && put_breakpoint(kv, gpa);
}

/* A branch to itself would be its own breakpoint: it is done here, with all that it changes. */
static bool branches_to_itself(struct kcn_vcpu *kv, u32 inst)
{
	struct kvm_vcpu *vcpu = kv->vcpu;
	u64 pc = vcpu->arch.regs.nip;

	if (kv->step_to || (opcode(inst) != 16 && opcode(inst) != 18) || next_pc(kv, inst) != pc)
		return false;
	if (opcode(inst) == 16 && !(inst >> 21 & 4))
		vcpu->arch.regs.ctr--;
	if (inst & 1)
		vcpu->arch.regs.link = pc + 4;
	return true;
}

static int told(struct kcn_vcpu *kv)
{
	kv->vcpu->run->exit_reason = KVM_EXIT_DEBUG;
	kv->vcpu->run->debug.arch.status = 0;
	kv->vcpu->run->debug.arch.address = kv->vcpu->arch.regs.nip;
	kv->step_to = 0;
	return 0;
}

/* With the page table there. 1, 0 or an error as below. */
static int begin(struct kcn_vcpu *kv)
{
	struct kvm_vcpu *vcpu = kv->vcpu;
	u32 inst = next_inst(kv);

	if (branches_to_itself(kv, inst))
		return told(kv);
	if (plant(kv, inst))
		return 1;
	pr_warn_ratelimited("kvm-catnap: vcpu %d can't step to 0x%llx: nothing can be written there\n",
			    vcpu->vcpu_id, kv->step_to & ~1ULL);
	kv->step_to = 0;
	return -EFAULT;
}

/*
 * Before a run. 1: it goes on; 0: the step is over, since what it was interrupted for in user space has ended
 * it; or an error.
 */
int kcn_step_begin(struct kcn_vcpu *kv)
{
	struct kvm_vcpu *vcpu = kv->vcpu;
	struct kcn_vm *vm = kcn_vm_of(vcpu->kvm);
	int result, index;

	if (!(vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)) {
		kv->step_to = 0;
		return 1;
	}
	if (kv->step_to && vcpu->arch.regs.nip == (kv->step_to & ~1ULL))
		return told(kv);
	result = kcn_vm_build(vm);
	if (result)
		return result;
	down_read(&vm->running);
	index = srcu_read_lock(&vcpu->kvm->srcu);
	result = READ_ONCE(vm->is_ready) ? begin(kv) : -EAGAIN;
	srcu_read_unlock(&vcpu->kvm->srcu, index);
	up_read(&vm->running);
	return result;
}

/* After it: memory that was taken back meanwhile has lost the breakpoint, too. */
void kcn_step_end(struct kcn_vcpu *kv)
{
	struct kcn_vm *vm = kcn_vm_of(kv->vcpu->kvm);

	if (!kv->is_stepping)
		return;
	mutex_lock(&vm->step_lock);
	kv->is_stepping = false;
	if (!other_step(kv, kv->step_gpa))
		kcn_exchange_text(vm, kv->step_gpa, &kv->step_text);
	mutex_unlock(&vm->step_lock);
	if (kv->vcpu->run->exit_reason == KVM_EXIT_DEBUG)
		kv->step_to = 0;
}

/* By what is there now: a vcpu that was slow to come out may have come to what is gone. */
enum kcn_breakpoint kcn_breakpoint_of(struct kcn_vcpu *kv)
{
	struct kvm_vcpu *vcpu = kv->vcpu;
	struct kcn_vm *vm = kcn_vm_of(vcpu->kvm);
	enum kcn_breakpoint whose = KCN_BREAKPOINT_GUEST;
	struct kcn_vcpu *other;
	u32 text;
	u64 gpa;

	if (vcpu->guest_debug & KVM_GUESTDBG_USE_SW_BP)
		whose = KCN_BREAKPOINT_DEBUGGER;
	if (!find_text(vcpu, vcpu->arch.regs.nip, &gpa))
		return whose;
	mutex_lock(&vm->step_lock);
	other = other_step(kv, gpa);
	if (kv->is_stepping && kv->step_gpa == gpa)
		whose = KCN_BREAKPOINT_DEBUGGER;
	else if (other && other->step_text != KVMPPC_INST_SW_BREAKPOINT)
		whose = KCN_BREAKPOINT_PASSING;
	else if (!kvm_read_guest(vcpu->kvm, gpa, &text, sizeof(text)) && text != KVMPPC_INST_SW_BREAKPOINT)
		whose = KCN_BREAKPOINT_PASSING;
	mutex_unlock(&vm->step_lock);
	return whose;
}
