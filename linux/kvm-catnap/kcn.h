/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KVM on catnap: vcpus run in the firmware's vcores.
 *
 * A vcpu's registers live in its page while it is queued, runs or waits in H_CEDE, and in
 * struct kvm_vcpu while it is out; floating point, vectors and most of the SPRs always live in the page.
 */
#ifndef KCN_H
#define KCN_H

#include <linux/kvm_host.h>
#include <linux/rwsem.h>
#include <asm/kvm_ppc.h>
#include <asm/kvm_book3s.h>
#include <catnap.h>
#include "compat.h"

/* Vcores of a partition (VCPU_CREATE). */
#define KCN_MAX_VCORES	64

/* A call of the firmware's: r3 to r10 on the way in, r3 to r9 on the way out. */
struct kcn_call {
	u64 regs[8];
	u64 token;
	u64 entry;
	u64 base;
	u64 back;
	u64 msr;
};

#define KCN_R(call, n)	((call)->regs[(n) - 3])

/* What a run has told: masks of slots. */
struct kcn_run {
	u8 exited;
	u8 ceded;
	u8 rung;
	u8 lost;	/* of a fenced core: threads that never came back */
};

/* What a run loses and this host may have in use. */
struct kcn_host_sprs {
	u64 ebbhr, ebbrr, bescr;
	u64 dawr, dawrx;
	u64 tfhar, tfiar, texasr;
	u64 mmcr0, mmcr1, mmcr2, mmcra, siar, sdar, sier;
	u64 pmc[6];
	bool has_tm;
	bool has_pmu;
};

struct kcn_vm {
	/* kvm->arch.vcores[0] leads here: KVM has no pointer of a backend's own. */
	struct kvmppc_vcore anchor;
	struct kvm *kvm;
	/* Vcpus, vcores, page table, and the making of the partition. */
	struct mutex lock;
	/* Read: there is a partition, and it stays. Write: it is made or ended. */
	struct rw_semaphore running;
	bool is_ready;
	/* What the partition was made with isn't so any more. */
	bool is_stale;
	bool has_vrma;
	u64 partition;
	u64 lpcr;
	u64 tb_offset;
	u32 hpt_order;
	/* The firmware serves the page table; by this map (table.c), if there is one. */
	bool is_served;
	__be64 *map;
	/* Memory of the guest's, pinned: struct kcn_range, under kvm->slots_lock and range_lock. */
	struct list_head ranges;
	spinlock_t range_lock;
	/* Which breakpoints of steps are in the guest's memory: inside of it range_lock alone is taken. */
	struct mutex step_lock;
	struct kcn_vcore *vcores[KCN_MAX_VCORES];
};

struct kcn_vcore {
	spinlock_t lock;
	struct kcn_vm *vm;
	u64 handle;
	struct kcn_vcpu *vcpus[CATNAP_MAX_THREADS];
	/* Whose thread runs the vcore, or is about to. */
	struct kcn_vcpu *runner;
	bool in_run;
	/* Slots that are to be made runnable by the next run. */
	u8 to_run;
	/* Slots that the firmware has in its queue. */
	u8 queued;
	/* Slots that wait in H_CEDE, out of any run. */
	u8 ceded;
	/* Slots whose threads wait for the end of a run to leave it. */
	u8 kicked;
	/* Slots whose vcpus the firmware has. Under vm->lock. */
	u8 made;
	/* Slots whose doorbells are to be rung. Under vm->lock. */
	u8 doorbells;
	/* A thread was woken for user space: it is to have the CPU next. */
	bool gives_way;
	/* The runner's: how it asks for a run, and what this host has in the registers that a run loses. */
	struct kcn_call call;
	struct kcn_host_sprs host;
};

struct kcn_vcpu {
	/* vcpu->arch.vcore leads here; inlines of KVM's look at some of its fields. */
	struct kvmppc_vcore shadow;
	struct kvm_vcpu *vcpu;
	struct catnap_vcpu_page *page;
	struct kcn_vcore *vcore;
	int slot;
	/* The firmware knows it. */
	bool exists;
	/* Its thread is to go on with this result. */
	bool is_out;
	int result;
	/* Floating point and vectors are in struct kvm_vcpu, for the emulation of an access. */
	bool has_fp_in_arch;
	/* An H_PROD to be told with the next run. */
	bool is_prodded;
	/* Its decrementer's timer was started. */
	bool has_timer;
	/* Who waits for a runner is to be woken before this thread leaves the kernel or sleeps. */
	bool owes_wake;
	/* Where a debugger's step ends, with its lowest bit set; 0: there is none. */
	u64 step_to;
	/* Where the breakpoint is while it runs, in the guest's memory, and what else is there. Under step_lock. */
	u64 step_gpa;
	u32 step_text;
	bool is_stepping;
};

static inline struct kcn_vm *kcn_vm_of(struct kvm *kvm)
{
	return container_of(kvm->arch.vcores[0], struct kcn_vm, anchor);
}

static inline struct kcn_vcpu *kcn_of(struct kvm_vcpu *vcpu)
{
	return container_of(vcpu->arch.vcore, struct kcn_vcpu, shadow);
}

static inline u8 kcn_bit(const struct kcn_vcpu *kv)
{
	return 1 << kv->slot;
}

/* call.c */
int kcn_call_init(void);
void kcn_call_exit(void);
s64 kcn_call(struct kcn_call *call);
s64 kcn_call3(u64 token, u64 r3, u64 r4, u64 r5, u64 *r4_out);
u64 kcn_query(u64 what);
s64 kcn_vcore_run(struct kcn_vcore *vc, u8 runnable, struct kcn_run *run);

/* vm.c */
int kcn_init_vm(struct kvm *kvm);
void kcn_destroy_vm(struct kvm *kvm);
int kcn_vm_build(struct kcn_vm *vm);
void kcn_vm_stale(struct kcn_vm *vm);
int kcn_set_smt_mode(struct kvm *kvm, unsigned long mode, unsigned long flags);
int kcn_get_smmu_info(struct kvm *kvm, struct kvm_ppc_smmu_info *info);
kcn_ioctl_t kcn_vm_ioctl(struct file *file, unsigned int ioctl, unsigned long arg);

/* memory.c */
int kcn_prepare_memory(struct kvm *kvm, const struct kvm_memory_slot *old,
		       struct kvm_memory_slot *new, enum kvm_mr_change change);
void kcn_commit_memory(struct kvm *kvm, struct kvm_memory_slot *old,
		       const struct kvm_memory_slot *new, enum kvm_mr_change change);
void kcn_free_memslot(struct kvm_memory_slot *slot);
void kcn_unpin_all(struct kcn_vm *vm);
bool kcn_gfn_to_pa(struct kcn_vm *vm, gfn_t gfn, u64 *pa, bool *may_write);

bool kcn_exchange_text(struct kcn_vm *vm, u64 gpa, u32 *text);

/* dirty.c */
int kcn_get_dirty_log(struct kvm *kvm, struct kvm_dirty_log *log);

/* hpt.c */
int kcn_hpt_reset(struct kcn_vm *vm, u32 order);
void kcn_hpt_free(struct kvm *kvm);
int kcn_hpt_map_vrma(struct kcn_vm *vm);
void kcn_hpt_note_vrma(struct kcn_vm *vm, u64 v);
void kcn_flush_memslot(struct kvm *kvm, struct kvm_memory_slot *slot);
int kcn_xlate(struct kvm_vcpu *vcpu, gva_t ea, struct kvmppc_pte *pte, bool data, bool is_write);
u64 kcn_vrmasd(void);

/* table.c */
int kcn_rev_alloc(struct kvm_hpt_info *hpt);
void kcn_rev_free(struct kvm_hpt_info *hpt);
void kcn_map_init(struct kcn_vm *vm);
void kcn_map_free(struct kcn_vm *vm);
void kcn_map_pages(struct kcn_vm *vm, gfn_t gfn, struct page **pages, unsigned long npages,
		   bool may_write);
void kcn_unmap_pages(struct kcn_vm *vm, gfn_t gfn, unsigned long npages);
bool kcn_take_changed(struct kcn_vm *vm, gfn_t gfn);
void kcn_serve_table(struct kcn_vm *vm);

/* hpt_file.c */
int kcn_hpt_file(struct kvm *kvm, const struct kvm_get_htab_fd *asked);

/* fault.c */
int kcn_data_fault(struct kcn_vcpu *kv);
int kcn_fetch_fault(struct kcn_vcpu *kv);
u64 kcn_slb_find(const struct catnap_vcpu_page *page, u64 ea);

/* vcore.c */
void kcn_ring(struct kcn_vcore *vc);
u64 kcn_doorbells(const struct kcn_vcore *vc);
int kcn_vcpu_enter(struct kcn_vcpu *kv);
void kcn_kick(struct kvm_vcpu *vcpu);
void kcn_prod(struct kvm_vcpu *vcpu);
void kcn_wake_runner(struct kcn_vcore *vc);
bool kcn_unblock(struct kcn_vcpu *kv);
bool kcn_has_cause(const struct kcn_vcpu *kv);
void kcn_show_pending(struct kcn_vcpu *kv);

/* runner.c */
void kcn_run_vcore(struct kcn_vcore *vc, struct kcn_vcpu *self) __acquires(&vc->lock);

/* vcpu.c */
int kcn_vcpu_create(struct kvm_vcpu *vcpu);
void kcn_vcpu_free(struct kvm_vcpu *vcpu);
int kcn_vcpu_run(struct kvm_vcpu *vcpu);
void kcn_load(struct kcn_vcpu *kv);
void kcn_store(struct kcn_vcpu *kv);
void kcn_fp_to_arch(struct kcn_vcpu *kv);
void kcn_set_msr(struct kvm_vcpu *vcpu, u64 msr);
void kcn_inject(struct kvm_vcpu *vcpu, int vector, u64 srr1_flags);
int kcn_get_sregs(struct kvm_vcpu *vcpu, struct kvm_sregs *sregs);
int kcn_set_sregs(struct kvm_vcpu *vcpu, struct kvm_sregs *sregs);

/* exit.c, hcall.c: RESUME_GUEST, RESUME_HOST or an error */
int kcn_handle_exit(struct kcn_vcpu *kv);
int kcn_fail_entry(struct kcn_vcpu *kv, s64 status);
int kcn_handle_hcall(struct kcn_vcpu *kv);
int kcn_hcall_implemented(unsigned long nr);

/* step.c */
/* Whose the instruction of a breakpoint is that a vcpu has come to. */
enum kcn_breakpoint {
	KCN_BREAKPOINT_GUEST,
	KCN_BREAKPOINT_DEBUGGER,
	/* It ends another vcpu's step, or it is gone: the vcpu tries again. */
	KCN_BREAKPOINT_PASSING,
};

enum kcn_breakpoint kcn_breakpoint_of(struct kcn_vcpu *kv);
int kcn_step_begin(struct kcn_vcpu *kv);
void kcn_step_end(struct kcn_vcpu *kv);

/* one_reg.c */
int kcn_get_one_reg(struct kvm_vcpu *vcpu, u64 id, union kvmppc_one_reg *val);
int kcn_set_one_reg(struct kvm_vcpu *vcpu, u64 id, union kvmppc_one_reg *val);

#endif
