// SPDX-License-Identifier: GPL-2.0
/* Hypercalls that the firmware leaves to the host. What isn't served here is user space's. */
#include "kcn.h"

#define ARG(vcpu, n)	kvmppc_get_gpr(vcpu, 4 + (n))

/*
 * How struct kvmppc_xics begins. KVM takes it that a backend's real-mode code has done the first half of
 * a hypercall, and clears up after it; here is none, so that KVM has to do the whole.
 */
struct xics_head {
	struct kvm *kvm;
	struct kvm_device *dev;
	struct dentry *dentry;
	u32 max_icsid;
	bool real_mode;
};

static int page_table_hcall(struct kvm_vcpu *vcpu, unsigned long nr)
{
	struct kvm *kvm = vcpu->kvm;
	unsigned long index_out;
	long status;

	preempt_disable();
	switch (nr) {
	case H_ENTER:
		status = kvmppc_do_h_enter(kvm, ARG(vcpu, 0), ARG(vcpu, 1), ARG(vcpu, 2), ARG(vcpu, 3),
					   kvm->mm->pgd, false, &index_out);
		if (!status)
			kvmppc_set_gpr(vcpu, 4, index_out);
		else if (status == H_TOO_HARD)
			status = H_RESOURCE;
		break;
	case H_REMOVE:
		status = kvmppc_h_remove(vcpu, ARG(vcpu, 0), ARG(vcpu, 1), ARG(vcpu, 2));
		break;
	case H_READ:
		status = kvmppc_h_read(vcpu, ARG(vcpu, 0), ARG(vcpu, 1));
		break;
	case H_PROTECT:
		status = kvmppc_h_protect(vcpu, ARG(vcpu, 0), ARG(vcpu, 1), ARG(vcpu, 2));
		break;
	case H_BULK_REMOVE:
		status = kvmppc_h_bulk_remove(vcpu);
		break;
	case H_CLEAR_REF:
		status = kvmppc_h_clear_ref(vcpu, ARG(vcpu, 0), ARG(vcpu, 1));
		break;
	default:
		status = kvmppc_h_clear_mod(vcpu, ARG(vcpu, 0), ARG(vcpu, 1));
		break;
	}
	preempt_enable();
	kvmppc_set_gpr(vcpu, 3, status);
	return RESUME_GUEST;
}

static int to_user_space(struct kvm_vcpu *vcpu, unsigned long nr)
{
	struct kvm_run *run = vcpu->run;
	int i;

	run->exit_reason = KVM_EXIT_PAPR_HCALL;
	run->papr_hcall.nr = nr;
#pragma GCC unroll 9
	for (i = 0; i < ARRAY_SIZE(run->papr_hcall.args); i++)
		run->papr_hcall.args[i] = ARG(vcpu, i);
	vcpu->arch.hcall_needed = 1;
	return RESUME_HOST;
}

static int xics_hcall(struct kvm_vcpu *vcpu, unsigned long nr)
{
	struct xics_head *xics = (struct xics_head *)vcpu->kvm->arch.xics;

	if (!kvmppc_xics_enabled(vcpu))
		return to_user_space(vcpu, nr);
	if (xics)
		xics->real_mode = false;
	if (nr == H_XIRR_X)
		kvmppc_set_gpr(vcpu, 5, mftb() + kcn_of(vcpu)->shadow.tb_offset);
	kvmppc_set_gpr(vcpu, 3, kvmppc_xics_hcall(vcpu, nr));
	return RESUME_GUEST;
}

static int rtas_hcall(struct kvm_vcpu *vcpu)
{
	int error;

	if (list_empty(&vcpu->kvm->arch.rtas_tokens))
		return to_user_space(vcpu, H_RTAS);
	error = kvmppc_rtas_hcall(vcpu);
	if (error == -ENOENT)
		return to_user_space(vcpu, H_RTAS);
	kvmppc_set_gpr(vcpu, 3, error ? H_PARAMETER : H_SUCCESS);
	return RESUME_GUEST;
}

static int prod(struct kvm_vcpu *vcpu)
{
	struct kvm_vcpu *target = kvm_get_vcpu_by_id(vcpu->kvm, ARG(vcpu, 0));

	if (target)
		kcn_prod(target);
	kvmppc_set_gpr(vcpu, 3, target ? H_SUCCESS : H_PARAMETER);
	return RESUME_GUEST;
}

/* Who serves a hypercall. */
enum server { USER_SPACE, TABLE, XICS, RTAS, PROD, CONFER, FIRMWARE };

static enum server server_of(unsigned long nr)
{
	switch (nr) {
	case H_ENTER:
	case H_REMOVE:
	case H_READ:
	case H_PROTECT:
	case H_BULK_REMOVE:
	case H_CLEAR_REF:
	case H_CLEAR_MOD:
		return TABLE;
	case H_XIRR:
	case H_XIRR_X:
	case H_CPPR:
	case H_EOI:
	case H_IPI:
	case H_IPOLL:
		return XICS;
	case H_RTAS:
		return RTAS;
	case H_PROD:
		return PROD;
	case H_CONFER:
		return CONFER;
	case H_CEDE:
		return FIRMWARE;
	default:
		return USER_SPACE;
	}
}

int kcn_handle_hcall(struct kcn_vcpu *kv)
{
	struct kvm_vcpu *vcpu = kv->vcpu;
	unsigned long nr = kvmppc_get_gpr(vcpu, 3);
	int result, index;

	/* A program's `sc 1` is a system call like any other. */
	if (vcpu->arch.shregs.msr & MSR_PR) {
		kcn_inject(vcpu, BOOK3S_INTERRUPT_SYSCALL, 0);
		return RESUME_GUEST;
	}
	switch (server_of(nr)) {
	case TABLE:
		index = srcu_read_lock(&vcpu->kvm->srcu);
		result = page_table_hcall(vcpu, nr);
		srcu_read_unlock(&vcpu->kvm->srcu, index);
		return result;
	case XICS:
		return xics_hcall(vcpu, nr);
	case RTAS:
		return rtas_hcall(vcpu);
	case PROD:
		return prod(vcpu);
	case CONFER:
		/* Whoever can run has a thread, or a turn to come. */
		kvmppc_set_gpr(vcpu, 3, H_SUCCESS);
		return RESUME_GUEST;
	default:
		return to_user_space(vcpu, nr);
	}
}

int kcn_hcall_implemented(unsigned long nr)
{
	return server_of(nr) != USER_SPACE;
}
