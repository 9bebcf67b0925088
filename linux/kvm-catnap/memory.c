// SPDX-License-Identifier: GPL-2.0
/*
 * A guest's memory: pinned as long as KVM has it, and accounted as locked. The firmware runs guests
 * without asking Linux, so that nothing may take a page away.
 */
#include <linux/cacheflush.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include "kcn.h"

/* Pages are pinned in portions, so that a signal ends it soon. */
#define PORTION	1024

struct kcn_range {
	struct list_head list;
	gfn_t gfn;
	unsigned long npages;
	unsigned long pinned;
	bool may_write;
	struct mm_struct *mm;
	struct page *pages[];
};

static void free_range(struct kcn_range *range)
{
	unpin_user_pages_dirty_lock(range->pages, range->pinned, range->may_write);
	account_locked_vm(range->mm, range->npages, false);
	mmdrop(range->mm);
	kvfree(range);
}

static int pin(struct kcn_range *range, unsigned long address)
{
	unsigned int flags = FOLL_LONGTERM | (range->may_write ? FOLL_WRITE : 0);

	while (range->pinned < range->npages) {
		unsigned long left = range->npages - range->pinned;
		int n;

		if (fatal_signal_pending(current))
			return -EINTR;
		n = pin_user_pages_fast(address + (range->pinned << PAGE_SHIFT),
					min(left, (unsigned long)PORTION), flags,
					range->pages + range->pinned);
		if (n <= 0)
			return n ?: -EFAULT;
		range->pinned += n;
		cond_resched();
	}
	return 0;
}

static int pin_slot(struct kcn_vm *vm, const struct kvm_memory_slot *slot)
{
	struct kcn_range *range;
	int error;

	range = kvzalloc(struct_size(range, pages, slot->npages), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!range)
		return -ENOMEM;
	range->gfn = slot->base_gfn;
	range->npages = slot->npages;
	range->may_write = !(slot->flags & KVM_MEM_READONLY);
	range->mm = current->mm;
	error = account_locked_vm(range->mm, range->npages, true);
	if (error) {
		pr_warn_ratelimited("kvm-catnap: %lu pages of a guest can't be locked: RLIMIT_MEMLOCK is %lu bytes\n",
				    range->npages, rlimit(RLIMIT_MEMLOCK));
		kvfree(range);
		return error;
	}
	mmgrab(range->mm);
	error = pin(range, slot->userspace_addr);
	if (error) {
		free_range(range);
		return error;
	}
	spin_lock(&vm->range_lock);
	list_add(&range->list, &vm->ranges);
	spin_unlock(&vm->range_lock);
	kcn_map_pages(vm, range->gfn, range->pages, range->npages, range->may_write);
	return 0;
}

static void unpin_slot(struct kcn_vm *vm, const struct kvm_memory_slot *slot)
{
	struct kcn_range *range, *found = NULL;

	spin_lock(&vm->range_lock);
	/* The newest is first: a slot that moves has two for a moment. */
	list_for_each_entry(range, &vm->ranges, list)
		if (range->gfn == slot->base_gfn && range->npages == slot->npages)
			found = range;
	if (found)
		list_del(&found->list);
	spin_unlock(&vm->range_lock);
	if (found)
		free_range(found);
}

void kcn_unpin_all(struct kcn_vm *vm)
{
	struct kcn_range *range, *next;

	list_for_each_entry_safe(range, next, &vm->ranges, list)
		free_range(range);
}

/* The real address of a page of the guest's; false: there is none. */
bool kcn_gfn_to_pa(struct kcn_vm *vm, gfn_t gfn, u64 *pa, bool *may_write)
{
	struct kcn_range *range;
	bool found = false;

	spin_lock(&vm->range_lock);
	list_for_each_entry(range, &vm->ranges, list) {
		if (gfn < range->gfn || gfn - range->gfn >= range->npages)
			continue;
		*pa = page_to_phys(range->pages[gfn - range->gfn]);
		*may_write = range->may_write;
		found = true;
		break;
	}
	spin_unlock(&vm->range_lock);
	return found;
}

/* Puts an instruction in the place of another, unless there is no memory, or memory that isn't to be written. */
bool kcn_exchange_text(struct kcn_vm *vm, u64 gpa, u32 *text)
{
	struct kcn_range *range;
	bool found = false;

	/* The page stays pinned as long as the lock is held. */
	spin_lock(&vm->range_lock);
	list_for_each_entry(range, &vm->ranges, list) {
		u64 page = (gpa >> PAGE_SHIFT) - range->gfn;
		u32 *at;

		if (gpa >> PAGE_SHIFT < range->gfn || page >= range->npages || !range->may_write)
			continue;
		at = page_address(range->pages[page]) + (gpa & ~PAGE_MASK);
		*text = xchg(at, *text);
		flush_icache_range((unsigned long)at, (unsigned long)(at + 1));
		found = true;
		break;
	}
	spin_unlock(&vm->range_lock);
	return found;
}

int kcn_prepare_memory(struct kvm *kvm, const struct kvm_memory_slot *old,
		       struct kvm_memory_slot *new, enum kvm_mr_change change)
{
	int error;

	if (change != KVM_MR_DELETE && new->npages > totalram_pages())
		return -ENOMEM;
	switch (change) {
	case KVM_MR_CREATE:
		/* Linux's helpers note here which entries of the page table map a page. */
		new->arch.rmap = vcalloc(new->npages, sizeof(*new->arch.rmap));
		if (!new->arch.rmap)
			return -ENOMEM;
		error = pin_slot(kcn_vm_of(kvm), new);
		if (error) {
			vfree(new->arch.rmap);
			new->arch.rmap = NULL;
		}
		return error;
	case KVM_MR_MOVE:
		new->arch.rmap = old->arch.rmap;
		return pin_slot(kcn_vm_of(kvm), new);
	case KVM_MR_FLAGS_ONLY:
		new->arch.rmap = old->arch.rmap;
		return 0;
	default:
		return 0;
	}
}

void kcn_commit_memory(struct kvm *kvm, struct kvm_memory_slot *old,
		       const struct kvm_memory_slot *new, enum kvm_mr_change change)
{
	/* Nothing of the page table leads there any more: kcn_flush_memslot(). */
	if (change == KVM_MR_DELETE || change == KVM_MR_MOVE)
		unpin_slot(kcn_vm_of(kvm), old);
}

void kcn_free_memslot(struct kvm_memory_slot *slot)
{
	vfree(slot->arch.rmap);
	slot->arch.rmap = NULL;
}
