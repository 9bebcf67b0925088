// SPDX-License-Identifier: GPL-2.0
/* Machines: a partition each, made when one of its vcpus first runs. */
#include <linux/slab.h>
#include "kcn.h"

int kcn_init_vm(struct kvm *kvm)
{
	long lpid = kvmppc_alloc_lpid();
	struct kcn_vm *vm;

	if (lpid < 0)
		return -ENOMEM;
	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm) {
		kvmppc_free_lpid(lpid);
		return -ENOMEM;
	}
	vm->kvm = kvm;
	vm->lpcr = CATNAP_LPCR_ONL | (4ULL << 52 & CATNAP_LPCR_DPFD);
	mutex_init(&vm->lock);
	mutex_init(&vm->step_lock);
	init_rwsem(&vm->running);
	spin_lock_init(&vm->range_lock);
	INIT_LIST_HEAD(&vm->ranges);
	kcn_map_init(vm);
	kvm->arch.vcores[0] = &vm->anchor;
	kvm->arch.lpid = lpid;
	kvm->arch.radix = 0;
	/* No vcore runs as far as Linux's helpers see: they flush TLBs of all cores. */
	kvm->arch.online_vcores = 2;
	kvm->arch.smt_mode = kcn_query(CATNAP_QUERY_THREADS);
	kvm->arch.emul_smt_mode = 1;
	return 0;
}

/* After all vcpus. */
void kcn_destroy_vm(struct kvm *kvm)
{
	struct kcn_vm *vm = kcn_vm_of(kvm);
	int i;

	if (vm->partition) {
		s64 status = kcn_call3(CATNAP_TOKEN_PARTITION_DESTROY, vm->partition, 0, 0, NULL);

		WARN_ONCE(status, "kvm-catnap: a partition without vcpus stays: %lld\n", status);
	}
	for (i = 0; i < KCN_MAX_VCORES; i++)
		kfree(vm->vcores[i]);
	kcn_hpt_free(kvm);
	kcn_map_free(vm);
	kcn_unpin_all(vm);
	kvmppc_free_lpid(kvm->arch.lpid);
	kvm->arch.vcores[0] = NULL;
	kfree(vm);
}

/* What the partition was made with has changed: the next run makes it anew. */
void kcn_vm_stale(struct kcn_vm *vm)
{
	vm->is_stale = true;
	WRITE_ONCE(vm->is_ready, false);
}

/* Makes the partition, or gives the one that there is what has changed. */
static int configure(struct kcn_vm *vm)
{
	struct kvm *kvm = vm->kvm;
	struct catnap_partition_config config = {
		.version = cpu_to_be32(CATNAP_VERSION),
		.lpid = cpu_to_be32(kvm->arch.lpid),
		.memory_mode = cpu_to_be32(CATNAP_MEMORY_MODE_VRMA),
		.smt_width = cpu_to_be32(kvm->arch.smt_mode),
		.ptid_mode = cpu_to_be32(CATNAP_PTID_MODE_ALIGNED),
		.policy = cpu_to_be32(CATNAP_POLICY_EAGER),
		.base = cpu_to_be64(kvm->arch.sdr1),
		.rm_len_bytes = cpu_to_be64(kcn_vrmasd()),
		.lpcr = cpu_to_be64(vm->lpcr),
		.tb_offset = cpu_to_be64(vm->tb_offset),
		.flags = cpu_to_be64(CATNAP_FLAG_REFLECT),
	};
	struct catnap_partition_config *copy;
	s64 status;

	/* The stack may be where real mode doesn't reach it as one piece. */
	copy = kmemdup(&config, sizeof(config), GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	if (vm->partition) {
		status = kcn_call3(CATNAP_TOKEN_PARTITION_UPDATE, vm->partition, __pa(copy), 0, NULL);
	} else {
		status = kcn_call3(CATNAP_TOKEN_PARTITION_CREATE, __pa(copy), 0, 0, &vm->partition);
		if (status)
			vm->partition = 0;
	}
	kfree(copy);
	if (!status) {
		kcn_serve_table(vm);
		return 0;
	}
	pr_warn_ratelimited("kvm-catnap: no partition: status %lld\n", status);
	return status == CATNAP_STATUS_RESOURCE ? -ENOSPC : -EINVAL;
}

static int make_vcpus(struct kcn_vm *vm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, vm->kvm) {
		struct kcn_vcpu *kv = kcn_of(vcpu);
		s64 status;

		if (kv->exists)
			continue;
		status = kcn_call3(CATNAP_TOKEN_VCPU_CREATE, vm->partition, vcpu->vcpu_id,
				   __pa(kv->page), &kv->vcore->handle);
		if (status) {
			pr_warn_ratelimited("kvm-catnap: no vcpu %d: status %lld\n",
					    vcpu->vcpu_id, status);
			return status == CATNAP_STATUS_RESOURCE ? -ENOSPC : -EINVAL;
		}
		kv->exists = true;
		kv->vcore->made |= kcn_bit(kv);
		kcn_ring(kv->vcore);
	}
	return 0;
}

static int build(struct kcn_vm *vm)
{
	int error = 0;

	if (!vm->has_vrma)
		error = kcn_hpt_map_vrma(vm);
	if (!error && (vm->is_stale || !vm->partition))
		error = configure(vm);
	if (error)
		return error;
	vm->is_stale = false;
	return make_vcpus(vm);
}

/* Has a partition with all vcpus; in no run. */
int kcn_vm_build(struct kcn_vm *vm)
{
	int error = 0;

	mutex_lock(&vm->lock);
	if (!vm->is_ready) {
		if (!vm->kvm->arch.hpt.virt)
			error = kcn_hpt_reset(vm, KVM_DEFAULT_HPT_ORDER);
		if (!error) {
			down_write(&vm->running);
			error = build(vm);
			WRITE_ONCE(vm->is_ready, !error);
			up_write(&vm->running);
		}
	}
	mutex_unlock(&vm->lock);
	return error;
}

int kcn_set_smt_mode(struct kvm *kvm, unsigned long mode, unsigned long flags)
{
	struct kcn_vm *vm = kcn_vm_of(kvm);
	u64 widths = kcn_query(CATNAP_QUERY_WIDTHS);
	int error = 0;

	if (flags || !is_power_of_2(mode) || mode > CATNAP_MAX_THREADS ||
	    !(widths >> ilog2(mode) & 1))
		return -EINVAL;
	mutex_lock(&vm->lock);
	if (atomic_read(&kvm->online_vcpus) || kvm->created_vcpus)
		error = -EBUSY;
	else
		kvm->arch.smt_mode = mode;
	mutex_unlock(&vm->lock);
	return error;
}

static void add_size(struct kvm_ppc_one_seg_page_size *size, u32 shift, u32 slb,
		     const struct kvm_ppc_one_page_size *enc, int n)
{
	size->page_shift = shift;
	size->slb_enc = slb;
	memcpy(size->enc, enc, n * sizeof(*enc));
}

/* POWER8's, by its user's manual. */
int kcn_get_smmu_info(struct kvm *kvm, struct kvm_ppc_smmu_info *info)
{
	static const struct kvm_ppc_one_page_size of_4k[] = { { 12, 0 }, { 16, 7 }, { 24, 56 } };
	static const struct kvm_ppc_one_page_size of_64k[] = { { 16, 1 }, { 24, 8 } };
	static const struct kvm_ppc_one_page_size of_16m[] = { { 24, 0 } };

	memset(info, 0, sizeof(*info));
	info->flags = KVM_PPC_PAGE_SIZES_REAL | KVM_PPC_1T_SEGMENTS;
	info->slb_size = CATNAP_SLB_ENTRIES;
	info->data_keys = 32;
	info->instr_keys = 32;
	add_size(&info->sps[0], 12, 0, of_4k, ARRAY_SIZE(of_4k));
	add_size(&info->sps[1], 16, SLB_VSID_L | SLB_VSID_LP_01, of_64k, ARRAY_SIZE(of_64k));
	add_size(&info->sps[2], 24, SLB_VSID_L, of_16m, ARRAY_SIZE(of_16m));
	return 0;
}

kcn_ioctl_t kcn_vm_ioctl(struct file *file, unsigned int ioctl, unsigned long arg)
{
	struct kvm *kvm = file->private_data;
	struct kcn_vm *vm = kcn_vm_of(kvm);
	u32 __user *user = (u32 __user *)arg;
	struct kvm_get_htab_fd asked;
	u32 order;
	int error;

	switch (ioctl) {
	case KVM_PPC_ALLOCATE_HTAB:
		if (get_user(order, user))
			return -EFAULT;
		mutex_lock(&vm->lock);
		error = kcn_hpt_reset(vm, order);
		mutex_unlock(&vm->lock);
		return error;
	case KVM_PPC_GET_HTAB_FD:
		if (copy_from_user(&asked, user, sizeof(asked)))
			return -EFAULT;
		return kcn_hpt_file(kvm, &asked);
	case KVM_PPC_RESIZE_HPT_PREPARE:
	case KVM_PPC_RESIZE_HPT_COMMIT:
		/* A guest that asks is told that it may not, and goes on with the table that it has. */
		return -EPERM;
	default:
		return -ENOTTY;
	}
}
