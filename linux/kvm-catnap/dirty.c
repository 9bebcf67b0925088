// SPDX-License-Identifier: GPL-2.0
/* Which pages a guest has written since user space last asked. */
#include "kcn.h"

/* An entry that leads into the slot: whether it has been written by, which it forgets. */
static bool take_change(struct kvm *kvm, unsigned long index, const struct kvm_memory_slot *slot,
			gfn_t *first, unsigned long *npages)
{
	__be64 *hpte = (__be64 *)(kvm->arch.hpt.virt + (index << 4));
	struct revmap_entry *rev = &kvm->arch.hpt.rev[index];
	unsigned long v, psize;
	bool changed = false;

	while (!try_lock_hpte(hpte, HPTE_V_HVLOCK))
		cpu_relax();
	v = be64_to_cpu(hpte[0]) & ~HPTE_V_HVLOCK;
	psize = kvmppc_actual_pgsz(v, be64_to_cpu(hpte[1]));
	*first = hpte_rpn(rev->guest_rpte, psize);
	*npages = max(psize >> PAGE_SHIFT, 1UL);
	if (v & HPTE_V_VALID && *first - slot->base_gfn < slot->npages &&
	    be64_to_cpu(hpte[1]) & HPTE_R_C) {
		/* No store is under way by it while its bit is taken. */
		kvmppc_invalidate_hpte(kvm, hpte, index);
		changed = true;
		/* What has been told of the entry (hpt_file.c) may have been told without it. */
		if (!(rev->guest_rpte & HPTE_R_C))
			rev->guest_rpte |= HPTE_R_C | HPTE_GR_MODIFIED;
		hpte[1] &= ~cpu_to_be64(HPTE_R_C);
		eieio();
	}
	unlock_hpte(hpte, v);
	return changed;
}

static void take_changes(struct kvm *kvm, const struct kvm_memory_slot *slot, unsigned long *written)
{
	struct kvm_hpt_info *hpt = &kvm->arch.hpt;
	unsigned long i, page, npages;
	gfn_t first;

	for (i = 0; hpt->virt && i < kvmppc_hpt_npte(hpt); i++) {
		bool changed;

		if (!(i % 4096))
			cond_resched();
		if (!(be64_to_cpu(*(__be64 *)(hpt->virt + (i << 4))) & HPTE_V_VALID))
			continue;
		preempt_disable();
		changed = take_change(kvm, i, slot, &first, &npages);
		preempt_enable();
		for (page = 0; changed && page < npages; page++)
			if (first + page - slot->base_gfn < slot->npages)
				__set_bit_le(first + page - slot->base_gfn, written);
	}
}

int kcn_get_dirty_log(struct kvm *kvm, struct kvm_dirty_log *log)
{
	struct kcn_vm *vm = kcn_vm_of(kvm);
	struct kvm_memory_slot *slot;
	unsigned long *written, n, i;
	int error = -ENOENT;

	if (log->slot >= KVM_USER_MEM_SLOTS)
		return -EINVAL;
	mutex_lock(&kvm->slots_lock);
	slot = id_to_memslot(kvm_memslots(kvm), log->slot);
	if (slot && slot->dirty_bitmap) {
		n = kvm_dirty_bitmap_bytes(slot);
		written = kvm_second_dirty_bitmap(slot);
		memset(written, 0, n);
		mutex_lock(&vm->lock);
		take_changes(kvm, slot, written);
		mutex_unlock(&vm->lock);
		for (i = 0; i < slot->npages; i++)
			if (kcn_take_changed(vm, slot->base_gfn + i))
				__set_bit_le(i, written);
		/* What Linux's helpers, and KVM itself, have noted. */
		for (i = 0; i < n / sizeof(*written); i++)
			written[i] |= xchg(&slot->dirty_bitmap[i], 0);
		error = copy_to_user(log->dirty_bitmap, written, n) ? -EFAULT : 0;
	}
	mutex_unlock(&kvm->slots_lock);
	return error;
}
