// SPDX-License-Identifier: GPL-2.0
/* A guest's hashed page table, which Linux's helpers keep; and the way by it. */
#include <linux/vmalloc.h>
#include "kcn.h"

#define GROUP_ENTRIES	8
/* Of its group an entry of the VRMA's has the last place: guests begin with the first. */
#define VRMA_PLACE	7
#define FREE_PORTION	4096
/* Places for a table that are looked at. */
#define TRIES		8

static unsigned long cma_pages(const struct kvm_hpt_info *hpt)
{
	return 1UL << (hpt->order - PAGE_SHIFT);
}

static void free_table(struct kvm_hpt_info *hpt)
{
	kcn_rev_free(hpt);
	if (hpt->cma & 1)
		kvm_free_hpt_cma(virt_to_page((void *)hpt->virt), cma_pages(hpt));
	else if (hpt->virt)
		free_pages(hpt->virt, hpt->order - PAGE_SHIFT);
	memset(hpt, 0, sizeof(*hpt));
}

void kcn_hpt_free(struct kvm *kvm)
{
	free_table(&kvm->arch.hpt);
}

/*
 * A table lies at a multiple of its size (PARTITION_CREATE); Linux's room for tables knows of 256 KiB alone.
 * What lies wrong is held while another place is looked for.
 */
static struct page *aligned_pages(unsigned long npages)
{
	struct page *wrong[TRIES], *page = NULL;
	int held = 0;

	while (held < TRIES) {
		page = kvm_alloc_hpt_cma(npages);
		if (!page || IS_ALIGNED(page_to_pfn(page), npages))
			break;
		wrong[held++] = page;
		page = NULL;
	}
	while (held--)
		kvm_free_hpt_cma(wrong[held], npages);
	return page;
}

static int alloc_table(struct kvm_hpt_info *hpt, u32 order)
{
	struct page *page;

	hpt->order = order;
	page = aligned_pages(cma_pages(hpt));
	if (page) {
		hpt->virt = (unsigned long)page_address(page);
		memset((void *)hpt->virt, 0, 1UL << order);
		hpt->cma = 1;
	} else if (order - PAGE_SHIFT <= MAX_PAGE_ORDER) {
		/* These lie at a multiple of their size. */
		hpt->virt = __get_free_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_RETRY_MAYFAIL |
					     __GFP_NOWARN, order - PAGE_SHIFT);
	}
	if (!hpt->virt)
		return -ENOMEM;
	if (!kcn_rev_alloc(hpt))
		return 0;
	free_table(hpt);
	return -ENOMEM;
}

static void forget_rmaps(struct kvm *kvm)
{
	struct kvm_memory_slot *slot;
	int index, bucket;

	index = srcu_read_lock(&kvm->srcu);
	kvm_for_each_memslot(slot, bucket, kvm_memslots(kvm))
		if (slot->arch.rmap)
			memset(slot->arch.rmap, 0, slot->npages * sizeof(*slot->arch.rmap));
	srcu_read_unlock(&kvm->srcu, index);
}

/* An empty table; under vm->lock. Vcpus that run meanwhile come out first. */
int kcn_hpt_reset(struct kcn_vm *vm, u32 order)
{
	struct kvm *kvm = vm->kvm;
	struct kvm_hpt_info *hpt = &kvm->arch.hpt, fresh = {};
	int error;

	if (order < PPC_MIN_HPT_ORDER || order > PPC_MAX_HPT_ORDER)
		return -EINVAL;
	if (1UL << (order - PAGE_SHIFT) > totalram_pages())
		return -ENOMEM;
	WRITE_ONCE(vm->is_ready, false);
	down_write(&vm->running);
	if (hpt->virt && hpt->order == order) {
		memset((void *)hpt->virt, 0, 1UL << order);
		memset(hpt->rev, 0, kvmppc_hpt_npte(hpt) * sizeof(*hpt->rev));
		error = 0;
	} else {
		error = alloc_table(&fresh, order);
		if (!error) {
			struct kvm_hpt_info old = *hpt;

			*hpt = fresh;
			fresh = old;
			/* Until it is told of the new one. */
			vm->is_served = false;
		}
	}
	if (!error) {
		kvm->arch.sdr1 = __pa(hpt->virt) | (order - PPC_MIN_HPT_ORDER);
		forget_rmaps(kvm);
		/* A new partition flushes what cores still know of the old table. */
		vm->has_vrma = false;
		kcn_vm_stale(vm);
	}
	/* The partition has the old table until it is made anew, but nobody runs in it. */
	free_table(&fresh);
	up_write(&vm->running);
	return error;
}

/* The VRMASD field for pages of the host's size: L and LP. */
u64 kcn_vrmasd(void)
{
	return PAGE_SHIFT == 16 ? 0x11 : 0;
}

/* The table has this entry: if it is real mode's, so are others. */
void kcn_hpt_note_vrma(struct kcn_vm *vm, u64 v)
{
	struct kvm *kvm = vm->kvm;

	if ((v & ~0xffffffUL) != (HPTE_V_1TB_SEG | (VRMA_VSID << (40 - 16))))
		return;
	kvm->arch.vrma_slb_v = SLB_VSID_B_1T | slb_pgsize_encoding(PAGE_SIZE) |
			       (VRMA_VSID << SLB_VSID_SHIFT_1T);
	kvm->arch.mmu_ready = 1;
	vm->has_vrma = true;
}

/* Real mode's addresses, as many as there are: a page in each group at most. */
int kcn_hpt_map_vrma(struct kcn_vm *vm)
{
	struct kvm *kvm = vm->kvm;
	unsigned long mask = kvmppc_hpt_mask(&kvm->arch.hpt);
	unsigned long v = HPTE_V_1TB_SEG | (VRMA_VSID << (40 - 16)) | HPTE_V_BOLTED;
	unsigned long r = HPTE_R_R | HPTE_R_C | HPTE_R_M | PP_RWXX;
	struct kvm_memory_slot *slot;
	unsigned long i, npages = 0, index_out;
	long status = H_SUCCESS;
	int index;

	if (PAGE_SHIFT == 16) {
		v |= HPTE_V_LARGE;
		r |= kvmppc_pgsize_lp_encoding(16, 16) << 12;
	}
	index = srcu_read_lock(&kvm->srcu);
	slot = __gfn_to_memslot(kvm_memslots(kvm), 0);
	if (slot)
		npages = min(slot->npages, mask + 1);
	for (i = 0; i < npages && !status; i++) {
		unsigned long address = i << PAGE_SHIFT;
		unsigned long hash = (i ^ VRMA_VSID ^ (VRMA_VSID << 25)) & mask;

		preempt_disable();
		status = kvmppc_do_h_enter(kvm, H_EXACT, hash * GROUP_ENTRIES + VRMA_PLACE,
					   v | ((address >> 16) & ~0x7fUL), r | address,
					   kvm->mm->pgd, false, &index_out);
		preempt_enable();
		/* An entry that is there already: of memory that came back, or of a guest that came by a file. */
		if (status == H_PTEG_FULL)
			status = H_SUCCESS;
	}
	srcu_read_unlock(&kvm->srcu, index);
	if (!npages || status) {
		pr_warn_ratelimited("kvm-catnap: a guest has no memory at 0, or it can't be mapped: %ld\n",
				    status);
		return -EINVAL;
	}
	kcn_hpt_note_vrma(vm, v);
	return 0;
}

static void lock_entry(__be64 *hpte)
{
	while (!try_lock_hpte(hpte, HPTE_V_HVLOCK))
		cpu_relax();
}

/* Takes away the pages of a slot that goes: its accesses come out from now on. */
void kcn_flush_memslot(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	struct kvm_hpt_info *hpt = &kvm->arch.hpt;
	struct kcn_vm *vm = kcn_vm_of(kvm);
	unsigned long i, v;

	mutex_lock(&vm->lock);
	kcn_unmap_pages(vm, slot->base_gfn, slot->npages);
	for (i = 0; hpt->virt && i < kvmppc_hpt_npte(hpt); i++) {
		__be64 *hpte = (__be64 *)(hpt->virt + (i << 4));
		unsigned long psize;
		gfn_t gfn;

		if (!(i % FREE_PORTION))
			cond_resched();
		if (!(be64_to_cpu(hpte[0]) & HPTE_V_VALID))
			continue;
		preempt_disable();
		lock_entry(hpte);
		v = be64_to_cpu(hpte[0]);
		psize = kvmppc_actual_pgsz(v, be64_to_cpu(hpte[1]));
		gfn = hpte_rpn(hpt->rev[i].guest_rpte, psize);
		if (v & HPTE_V_VALID && gfn - slot->base_gfn < slot->npages) {
			kvmppc_invalidate_hpte(kvm, hpte, i);
			v = (v & ~HPTE_V_VALID) | HPTE_V_ABSENT;
		}
		unlock_hpte(hpte, v & ~HPTE_V_HVLOCK);
		preempt_enable();
	}
	if (!slot->base_gfn)
		vm->has_vrma = false;
	mutex_unlock(&vm->lock);
}

/* An effective address of a guest's, for the emulation of its accesses. */
int kcn_xlate(struct kvm_vcpu *vcpu, gva_t ea, struct kvmppc_pte *pte, bool data, bool is_write)
{
	struct kvm *kvm = vcpu->kvm;
	u64 slb = kvm->arch.vrma_slb_v;
	unsigned long v, r, rpte, psize;
	__be64 *hpte;
	long index;

	if (vcpu->arch.shregs.msr & (data ? MSR_DR : MSR_IR))
		slb = kcn_slb_find(kcn_of(vcpu)->page, ea);
	if (!slb)
		return -EINVAL;
	preempt_disable();
	index = kvmppc_hv_find_lock_hpte(kvm, ea, slb, HPTE_V_VALID | HPTE_V_ABSENT);
	if (index < 0) {
		preempt_enable();
		return -ENOENT;
	}
	hpte = (__be64 *)(kvm->arch.hpt.virt + (index << 4));
	v = be64_to_cpu(hpte[0]) & ~HPTE_V_HVLOCK;
	r = be64_to_cpu(hpte[1]);
	rpte = kvm->arch.hpt.rev[index].guest_rpte;
	unlock_hpte(hpte, v);
	preempt_enable();

	psize = kvmppc_actual_pgsz(v, r);
	memset(pte, 0, sizeof(*pte));
	pte->eaddr = ea;
	pte->raddr = (rpte & HPTE_R_RPN & ~(psize - 1)) | (ea & (psize - 1));
	pte->may_read = true;
	pte->may_write = hpte_is_writable(rpte);
	pte->may_execute = !(rpte & (HPTE_R_N | HPTE_R_G));
	return 0;
}
