// SPDX-License-Identifier: GPL-2.0
/*
 * What the firmware has to know to serve a page table's hypercalls itself: which pages the guest has, in a
 * map of two levels, and a place for what the guest has written (PARTITION_MEMORY). Linux's helpers do what
 * it leaves, on the same table, under the same locks.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include "kcn.h"

/* Of the guest's real addresses: what is above counts as a device's until it is touched. */
#define MAP_BYTES	(1ULL << 40)
#define CHUNKS		(MAP_BYTES / PAGE_SIZE / CATNAP_CHUNK_WORDS)
#define CHUNK_ORDER	get_order(CATNAP_CHUNK_BYTES)
/* How the helpers' array is held: bits of kvm_hpt_info.cma. */
#define REV_PAGES	2
#define REV_CMA		4

static bool serve_table = true;
module_param(serve_table, bool, 0444);
MODULE_PARM_DESC(serve_table, "the firmware serves the page tables of guests, as far as it can (default: y)");

/* The helpers' array where vmalloc() would put it, and in one piece for the firmware, which is in real mode. */
static struct revmap_entry *in_one_piece(struct page *first, unsigned long npages)
{
	struct page **pages = kvmalloc_array(npages, sizeof(*pages), GFP_KERNEL);
	struct revmap_entry *rev;
	unsigned long i;

	if (!pages)
		return NULL;
	for (i = 0; i < npages; i++)
		pages[i] = first + i;
	rev = vmap(pages, npages, VM_MAP, PAGE_KERNEL);
	kvfree(pages);
	if (rev)
		memset(rev, 0, npages << PAGE_SHIFT);
	return rev;
}

static unsigned long rev_bytes(struct kvm_hpt_info *hpt)
{
	return kvmppc_hpt_npte(hpt) * sizeof(*hpt->rev);
}

int kcn_rev_alloc(struct kvm_hpt_info *hpt)
{
	unsigned long bytes = rev_bytes(hpt), npages = bytes >> PAGE_SHIFT;
	struct page *first;
	void *virt;

	if (get_order(bytes) <= MAX_PAGE_ORDER) {
		virt = alloc_pages_exact(bytes, GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
		if (virt) {
			hpt->rev = in_one_piece(virt_to_page(virt), npages);
			hpt->cma |= REV_PAGES;
			if (hpt->rev)
				return 0;
			free_pages_exact(virt, bytes);
		}
	} else {
		first = kvm_alloc_hpt_cma(npages);
		if (first) {
			hpt->rev = in_one_piece(first, npages);
			hpt->cma |= REV_CMA;
			if (hpt->rev)
				return 0;
			kvm_free_hpt_cma(first, npages);
		}
	}
	/* In pieces: Linux's helpers serve this table alone. */
	hpt->cma &= ~(REV_PAGES | REV_CMA);
	hpt->rev = vcalloc(kvmppc_hpt_npte(hpt), sizeof(*hpt->rev));
	return hpt->rev ? 0 : -ENOMEM;
}

void kcn_rev_free(struct kvm_hpt_info *hpt)
{
	unsigned long bytes = rev_bytes(hpt);
	struct page *first;

	if (!hpt->rev || !(hpt->cma & (REV_PAGES | REV_CMA))) {
		vfree(hpt->rev);
		return;
	}
	first = vmalloc_to_page(hpt->rev);
	vunmap(hpt->rev);
	if (hpt->cma & REV_PAGES)
		free_pages_exact(page_address(first), bytes);
	else
		kvm_free_hpt_cma(first, bytes >> PAGE_SHIFT);
}

/* The map's word for a page; NULL: there is none, and no memory for one. */
static __be64 *word_of(struct kcn_vm *vm, gfn_t gfn, bool make)
{
	unsigned long chunk = gfn / CATNAP_CHUNK_WORDS;
	__be64 *words;

	if (!vm->map || chunk >= CHUNKS)
		return NULL;
	if (!vm->map[chunk]) {
		words = make ? (__be64 *)__get_free_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO, CHUNK_ORDER) : NULL;
		if (!words)
			return NULL;
		/* The firmware sees an empty chunk, or none. */
		smp_wmb();
		WRITE_ONCE(vm->map[chunk], cpu_to_be64(__pa(words)));
	}
	words = __va(be64_to_cpu(vm->map[chunk]));
	return words + gfn % CATNAP_CHUNK_WORDS;
}

/* Pages of a slot that there is from now on. What there is no room for comes by faults. */
void kcn_map_pages(struct kcn_vm *vm, gfn_t gfn, struct page **pages, unsigned long npages, bool may_write)
{
	u64 bits = CATNAP_PAGE_READ | CATNAP_PAGE_CHANGED | (may_write ? CATNAP_PAGE_WRITE : 0);
	unsigned long i;

	for (i = 0; i < npages; i++) {
		__be64 *word = word_of(vm, gfn + i, true);

		if (word)
			WRITE_ONCE(*word, cpu_to_be64(page_to_phys(pages[i]) | bits));
		if (!(i % 4096))
			cond_resched();
	}
}

/* Of a slot that goes: the firmware makes no entry for its pages any more, and takes back what it has made. */
void kcn_unmap_pages(struct kcn_vm *vm, gfn_t gfn, unsigned long npages)
{
	struct kcn_call call;
	unsigned long i;
	u64 next = 0;
	s64 status;

	for (i = 0; i < npages; i++) {
		__be64 *word = word_of(vm, gfn + i, false);

		if (word)
			WRITE_ONCE(*word, 0);
	}
	if (!vm->is_served)
		return;
	do {
		memset(&call, 0, sizeof(call));
		call.token = CATNAP_TOKEN_PARTITION_UNMAP;
		call.regs[0] = vm->partition;
		call.regs[1] = gfn << PAGE_SHIFT;
		call.regs[2] = (u64)npages << PAGE_SHIFT;
		call.regs[3] = next;
		status = kcn_call(&call);
		next = KCN_R(&call, 4);
		cond_resched();
	} while (status == CATNAP_STATUS_BUSY || (!status && next));
	WARN_ONCE(status, "kvm-catnap: memory isn't taken back: %lld\n", status);
}

/* Whether a page was written by entries that are gone; that is forgotten. */
bool kcn_take_changed(struct kcn_vm *vm, gfn_t gfn)
{
	__be64 *word = word_of(vm, gfn, false);
	__be64 old;

	if (!word)
		return false;
	do {
		old = READ_ONCE(*word);
		if (!(old & cpu_to_be64(CATNAP_PAGE_CHANGED)))
			return false;
	} while (cmpxchg((u64 *)word, (__force u64)old,
			 (__force u64)(old & ~cpu_to_be64(CATNAP_PAGE_CHANGED))) != (__force u64)old);
	return true;
}

void kcn_map_init(struct kcn_vm *vm)
{
	if (serve_table && kcn_query(CATNAP_QUERY_FEATURES) & CATNAP_FEATURE_TABLE)
		vm->map = kcalloc(CHUNKS, sizeof(*vm->map), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
}

void kcn_map_free(struct kcn_vm *vm)
{
	unsigned long i;

	for (i = 0; vm->map && i < CHUNKS; i++)
		if (vm->map[i])
			free_pages((unsigned long)__va(be64_to_cpu(vm->map[i])), CHUNK_ORDER);
	kfree(vm->map);
	vm->map = NULL;
}

/* The partition has been made, or made anew: has the firmware serve its table, if it can. */
void kcn_serve_table(struct kcn_vm *vm)
{
	struct kvm_hpt_info *hpt = &vm->kvm->arch.hpt;
	struct kcn_call call = {
		.token = CATNAP_TOKEN_PARTITION_MEMORY,
		.regs = { vm->partition },
	};
	s64 status;

	vm->is_served = false;
	if (!vm->map || !(hpt->cma & (REV_PAGES | REV_CMA)))
		return;
	call.regs[1] = __pa(vm->map);
	call.regs[2] = MAP_BYTES;
	call.regs[3] = PAGE_SHIFT;
	call.regs[4] = page_to_phys(vmalloc_to_page(hpt->rev));
	call.regs[5] = IS_ENABLED(CONFIG_CPU_LITTLE_ENDIAN) ? CATNAP_MEMORY_LITTLE_ENDIAN : 0;
	status = kcn_call(&call);
	vm->is_served = !status;
	if (status)
		pr_warn_ratelimited("kvm-catnap: the firmware doesn't serve a page table: status %lld\n", status);
}
