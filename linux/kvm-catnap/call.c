// SPDX-License-Identifier: GPL-2.0
/* Calls of the firmware's. */
#include <linux/cache.h>
#include <linux/cacheflush.h>
#include <linux/moduleparam.h>
#include <linux/of.h>
#include <linux/slab.h>
#include <asm/interrupt.h>
#include <asm/switch_to.h>
#include "kcn.h"
#include "call_layout.h"

static_assert(offsetof(struct kcn_call, regs) == KCN_CALL_REGS);
static_assert(offsetof(struct kcn_call, token) == KCN_CALL_TOKEN);
static_assert(offsetof(struct kcn_call, entry) == KCN_CALL_ENTRY);
static_assert(offsetof(struct kcn_call, base) == KCN_CALL_BASE);
static_assert(offsetof(struct kcn_call, back) == KCN_CALL_BACK);
static_assert(offsetof(struct kcn_call, msr) == KCN_CALL_MSR);

/* mthsrr0 r14; mthsrr1 r15; hrfid. Big-endian: the firmware comes back as it runs. */
static const u32 back_text[] = { 0x7dda4ba6, 0x7dfb4ba6, 0x4c000224 };

static unsigned int run_us = 10000;
module_param(run_us, uint, 0644);
MODULE_PARM_DESC(run_us, "how long a run may last, in microseconds, if the host's tick doesn't end it sooner");

static u64 entry __ro_after_init;
static u64 base __ro_after_init;
static __be32 *back __ro_after_init;

void kcn_enter(struct kcn_call *call);

int kcn_call_init(void)
{
	struct device_node *opal = of_find_node_by_path("/ibm,opal");
	int i;

	if (of_property_read_u64(opal, "opal-entry-address", &entry) ||
	    of_property_read_u64(opal, "opal-base-address", &base)) {
		of_node_put(opal);
		return -ENODEV;
	}
	of_node_put(opal);
	/* In the linear map: its address means the same in real mode. */
	back = (__be32 *)get_zeroed_page(GFP_KERNEL);
	if (!back)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(back_text); i++)
		back[i] = cpu_to_be32(back_text[i]);
	flush_icache_range((unsigned long)back, (unsigned long)(back + ARRAY_SIZE(back_text)));
	return 0;
}

void kcn_call_exit(void)
{
	free_page((unsigned long)back);
}

/* With interrupts hard off. */
static s64 call_now(struct kcn_call *call)
{
	call->entry = entry;
	call->base = base;
	call->back = (u64)back;
	call->msr = mfmsr() & ~(MSR_IR | MSR_DR | MSR_LE | MSR_EE);
	kcn_enter(call);
	/* The kernel remembers what these registers hold. */
	srr_regs_clobbered();
	return KCN_R(call, 3);
}

s64 kcn_call(struct kcn_call *call)
{
	unsigned long flags;
	s64 status;

	local_irq_save(flags);
	hard_irq_disable();
	status = call_now(call);
	local_irq_restore(flags);
	return status;
}

s64 kcn_call3(u64 token, u64 r3, u64 r4, u64 r5, u64 *r4_out)
{
	struct kcn_call call = { .token = token, .regs = { r3, r4, r5 } };
	s64 status = kcn_call(&call);

	if (r4_out)
		*r4_out = KCN_R(&call, 4);
	return status;
}

/* The answer, or 0. */
u64 kcn_query(u64 what)
{
	u64 answer;

	return kcn_call3(CATNAP_TOKEN_SMT_QUERY, what, 0, 0, &answer) ? 0 : answer;
}

static void save_pmu(struct kcn_host_sprs *host)
{
	host->mmcr0 = mfspr(SPRN_MMCR0);
	mtspr(SPRN_MMCR0, MMCR0_FC);
	isync();
	host->mmcr1 = mfspr(SPRN_MMCR1);
	host->mmcr2 = mfspr(SPRN_MMCR2);
	host->mmcra = mfspr(SPRN_MMCRA);
	host->siar = mfspr(SPRN_SIAR);
	host->sdar = mfspr(SPRN_SDAR);
	host->sier = mfspr(SPRN_SIER);
	host->pmc[0] = mfspr(SPRN_PMC1);
	host->pmc[1] = mfspr(SPRN_PMC2);
	host->pmc[2] = mfspr(SPRN_PMC3);
	host->pmc[3] = mfspr(SPRN_PMC4);
	host->pmc[4] = mfspr(SPRN_PMC5);
	host->pmc[5] = mfspr(SPRN_PMC6);
}

static void restore_pmu(const struct kcn_host_sprs *host)
{
	mtspr(SPRN_PMC1, host->pmc[0]);
	mtspr(SPRN_PMC2, host->pmc[1]);
	mtspr(SPRN_PMC3, host->pmc[2]);
	mtspr(SPRN_PMC4, host->pmc[3]);
	mtspr(SPRN_PMC5, host->pmc[4]);
	mtspr(SPRN_PMC6, host->pmc[5]);
	mtspr(SPRN_MMCR1, host->mmcr1);
	mtspr(SPRN_MMCR2, host->mmcr2);
	mtspr(SPRN_MMCRA, host->mmcra);
	mtspr(SPRN_SIAR, host->siar);
	mtspr(SPRN_SDAR, host->sdar);
	mtspr(SPRN_SIER, host->sier);
	mtspr(SPRN_MMCR0, host->mmcr0);
	isync();
}

static void save_host(struct kcn_host_sprs *host)
{
	host->ebbhr = mfspr(SPRN_EBBHR);
	host->ebbrr = mfspr(SPRN_EBBRR);
	host->bescr = mfspr(SPRN_BESCR);
	host->dawr = mfspr(SPRN_DAWR0);
	host->dawrx = mfspr(SPRN_DAWRX0);
	host->has_tm = cpu_has_feature(CPU_FTR_TM) && current->thread.regs &&
		       current->thread.regs->msr & MSR_TM;
	if (host->has_tm) {
		mtmsr(mfmsr() | MSR_TM);
		host->tfhar = mfspr(SPRN_TFHAR);
		host->tfiar = mfspr(SPRN_TFIAR);
		host->texasr = mfspr(SPRN_TEXASR);
	}
	host->has_pmu = get_paca()->pmcregs_in_use;
	if (host->has_pmu)
		save_pmu(host);
}

static void restore_host(const struct kcn_host_sprs *host)
{
	if (host->has_pmu)
		restore_pmu(host);
	if (host->has_tm) {
		mtspr(SPRN_TFHAR, host->tfhar);
		mtspr(SPRN_TFIAR, host->tfiar);
		mtspr(SPRN_TEXASR, host->texasr);
		mtmsr(mfmsr() & ~MSR_TM);
	}
	mtspr(SPRN_EBBHR, host->ebbhr);
	mtspr(SPRN_EBBRR, host->ebbrr);
	mtspr(SPRN_BESCR, host->bescr);
	/* The run has left DAWRX 0. */
	if (host->dawrx) {
		mtspr(SPRN_DAWR0, host->dawr);
		mtspr(SPRN_DAWRX0, host->dawrx);
	}
}

static s64 run_now(struct kcn_vcore *vc, u8 runnable, struct kcn_run *run)
{
	s64 left_tb = (s32)mfspr(SPRN_DEC);
	s64 most_tb = (s64)READ_ONCE(run_us) * tb_ticks_per_usec;
	/* The runner's alone, and not on the stack, where the kernel has everything cleared first. */
	struct kcn_call *call = &vc->call;
	s64 status;

	call->token = CATNAP_TOKEN_VCORE_RUN;
	call->regs[0] = vc->handle;
	call->regs[1] = runnable;
	call->regs[2] = 0;
	call->regs[3] = mftb() + clamp(left_tb, 0LL, most_tb);
	call->regs[4] = CATNAP_RUN_KEEP_SLB;
	save_host(&vc->host);
	status = call_now(call);
	restore_host(&vc->host);
	switch (status) {
	case CATNAP_STATUS_SUCCESS:
		run->exited = KCN_R(call, 4);
		run->ceded = KCN_R(call, 6);
		run->rung = KCN_R(call, 6) >> CATNAP_RUNG_SHIFT;
		break;
	case CATNAP_STATUS_EMPTY:
		run->exited = KCN_R(call, 4);
		break;
	case CATNAP_STATUS_PARTIAL:
		run->lost = KCN_R(call, 5);
		break;
	}
	return status;
}

/* Of all vcores. */
static unsigned long runs;
module_param(runs, ulong, 0444);
MODULE_PARM_DESC(runs, "how often a vcore was run, since the module was loaded");

/*
 * Runs a vcore until somebody needs the host, or until the host's decrementer or another interrupt of
 * its own comes: these are taken here, at the end.
 */
s64 kcn_vcore_run(struct kcn_vcore *vc, u8 runnable, struct kcn_run *run)
{
	unsigned long flags;
	s64 status;

	memset(run, 0, sizeof(*run));
	atomic_long_inc((atomic_long_t *)&runs);
	preempt_disable();
	/* A run loses the registers of floating point and vectors: this task's come back by themselves. */
	giveup_all(current);
	local_irq_save(flags);
	hard_irq_disable();
	if (need_resched() || signal_pending(current) || lazy_irq_pending())
		status = CATNAP_STATUS_BUSY_EVENT;
	else
		status = run_now(vc, runnable, run);
	local_irq_restore(flags);
	preempt_enable();
	return status;
}
