// SPDX-License-Identifier: GPL-2.0
/* What vcpus come out for. */
#include "kcn.h"

/* Why a program interrupt came: the instruction isn't there. */
#define SRR1_ILLEGAL	0x80000ULL

/* User space learns that the vcpu can't run any more, and by which status. */
int kcn_fail_entry(struct kcn_vcpu *kv, s64 status)
{
	struct kvm_run *run = kv->vcpu->run;

	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = status;
	run->fail_entry.cpu = raw_smp_processor_id();
	return 0;
}

static int emulation_assist(struct kcn_vcpu *kv)
{
	struct kvm_vcpu *vcpu = kv->vcpu;
	enum kcn_breakpoint whose = KCN_BREAKPOINT_GUEST;

	if (be32_to_cpu(kv->page->firmware.heir) == KVMPPC_INST_SW_BREAKPOINT)
		whose = kcn_breakpoint_of(kv);
	switch (whose) {
	case KCN_BREAKPOINT_DEBUGGER:
		vcpu->run->exit_reason = KVM_EXIT_DEBUG;
		vcpu->run->debug.arch.status = 0;
		vcpu->run->debug.arch.address = vcpu->arch.regs.nip;
		return RESUME_HOST;
	case KCN_BREAKPOINT_PASSING:
		return RESUME_GUEST;
	case KCN_BREAKPOINT_GUEST:
		break;
	}
	kcn_inject(vcpu, BOOK3S_INTERRUPT_PROGRAM, SRR1_ILLEGAL);
	return RESUME_GUEST;
}

static int machine_check(struct kcn_vcpu *kv)
{
	struct kvm_vcpu *vcpu = kv->vcpu;

	if (vcpu->kvm->arch.fwnmi_enabled) {
		vcpu->run->exit_reason = KVM_EXIT_NMI;
		vcpu->run->hw.hardware_exit_reason = BOOK3S_INTERRUPT_MACHINE_CHECK;
		return RESUME_HOST;
	}
	vcpu->arch.shregs.dsisr = be64_to_cpu(kv->page->firmware.fault);
	kcn_inject(vcpu, BOOK3S_INTERRUPT_MACHINE_CHECK,
		   be64_to_cpu(kv->page->firmware.srr1) & 0x783f0000ULL);
	return RESUME_GUEST;
}

static int unknown(struct kcn_vcpu *kv)
{
	struct kvm_run *run = kv->vcpu->run;
	const struct catnap_firmware_line *told = &kv->page->firmware;

	pr_warn_ratelimited("kvm-catnap: vcpu %d has come out for %u, by 0x%x at 0x%llx\n",
			    kv->vcpu->vcpu_id, be32_to_cpu(told->reason), be32_to_cpu(told->trap),
			    be64_to_cpu(kv->page->pc));
	run->exit_reason = KVM_EXIT_UNKNOWN;
	run->hw.hardware_exit_reason = be32_to_cpu(told->trap);
	return RESUME_HOST;
}

static int handle(struct kcn_vcpu *kv)
{
	switch (be32_to_cpu(kv->page->firmware.reason)) {
	case CATNAP_EXIT_REASON_DATA_STORAGE:
		return kcn_data_fault(kv);
	case CATNAP_EXIT_REASON_INSTRUCTION_STORAGE:
		return kcn_fetch_fault(kv);
	case CATNAP_EXIT_REASON_EMULATION_ASSIST:
		return emulation_assist(kv);
	case CATNAP_EXIT_REASON_PROGRAM:
		kcn_inject(kv->vcpu, BOOK3S_INTERRUPT_PROGRAM,
			   be64_to_cpu(kv->page->firmware.srr1) & 0x783f0000ULL);
		return RESUME_GUEST;
	case CATNAP_EXIT_REASON_FACILITY_UNAVAILABLE:
		/* What no guest has: transactions. */
		kcn_inject(kv->vcpu, BOOK3S_INTERRUPT_PROGRAM, SRR1_ILLEGAL);
		return RESUME_GUEST;
	case CATNAP_EXIT_REASON_MACHINE_CHECK:
		return machine_check(kv);
	case CATNAP_EXIT_REASON_UNEXPECTED:
		return unknown(kv);
	default:
		/* Kicked, pulled, or struck by what is the host's: its thread looks for signals. */
		return RESUME_GUEST;
	}
}

int kcn_handle_exit(struct kcn_vcpu *kv)
{
	struct kvm *kvm = kv->vcpu->kvm;
	int result, index;

	kv->vcpu->stat.sum_exits++;
	/* Most go to user space, and need nothing of the guest's memory. */
	if (be32_to_cpu(kv->page->firmware.reason) == CATNAP_EXIT_REASON_HYPERCALL)
		return kcn_handle_hcall(kv);
	index = srcu_read_lock(&kvm->srcu);
	result = handle(kv);
	srcu_read_unlock(&kvm->srcu, index);
	return result;
}
