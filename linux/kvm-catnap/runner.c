// SPDX-License-Identifier: GPL-2.0
/* Running a vcore: by the thread of one of its vcpus, which serves what the others come out for, too. */
#include <linux/sched/signal.h>
#include "kcn.h"

/* The vcpu is out, and its thread goes on with this; under the lock. */
static void let_out(struct kcn_vcpu *kv, struct kcn_vcpu *self, int result)
{
	kv->result = result;
	kv->vcore->kicked &= ~kcn_bit(kv);
	WRITE_ONCE(kv->is_out, true);
	if (kv == self)
		return;
	rcuwait_wake_up(kv->vcpu->arch.waitp);
	kv->vcore->gives_way = true;
}

/* Threads that have waited for the run's end look again; under the lock. */
static void wake_kicked(struct kcn_vcore *vc)
{
	unsigned long slots = vc->kicked;
	int slot;

	for_each_set_bit(slot, &slots, CATNAP_MAX_THREADS)
		rcuwait_wake_up(vc->vcpus[slot]->vcpu->arch.waitp);
}

/* A vcpu that waits in H_CEDE goes on by itself at its decrementer's time. */
static void start_timer(struct kcn_vcpu *kv)
{
	u64 left_tb = be64_to_cpu(kv->page->sprs.dec_expires_tb) - (mftb() + kv->shadow.tb_offset);

	kv->has_timer = true;
	hrtimer_start(&kv->vcpu->arch.dec_timer, ns_to_ktime(tb_to_ns(left_tb)), HRTIMER_MODE_REL);
}

/*
 * Who has ceded goes on at once if a doorbell, an interrupt or a prod waits. A doorbell may have been rung for
 * one that wasn't in the run, too. Under the lock.
 */
static void settle_ceded(struct kcn_vcore *vc, u8 ceded, u8 rung)
{
	unsigned long slots = ceded & ~rung;
	int slot;

	vc->queued &= ~ceded;
	vc->ceded |= ceded;
	vc->to_run |= vc->ceded & rung;
	vc->ceded &= ~rung;
	for_each_set_bit(slot, &slots, CATNAP_MAX_THREADS)
		if (!kcn_unblock(vc->vcpus[slot]))
			start_timer(vc->vcpus[slot]);
}

/* Serves what vcpus have come out for; those that are done run again. */
static void settle_exited(struct kcn_vcore *vc, u8 exited, struct kcn_vcpu *self)
{
	unsigned long slots = exited;
	int slot, result;

	for_each_set_bit(slot, &slots, CATNAP_MAX_THREADS) {
		struct kcn_vcpu *kv = vc->vcpus[slot];

		kcn_load(kv);
		result = kcn_handle_exit(kv);
		if (result == RESUME_GUEST)
			kcn_store(kv);
		spin_lock_irq(&vc->lock);
		if (result == RESUME_GUEST && vc->kicked & BIT(slot))
			result = -EINTR;
		if (result != RESUME_GUEST) {
			let_out(kv, self, result == RESUME_HOST ? 0 : result);
		} else {
			kcn_show_pending(kv);
			if (kv->is_prodded)
				kv->page->firmware.prodded = cpu_to_be64(1);
			kv->is_prodded = false;
			vc->to_run |= BIT(slot);
		}
		spin_unlock_irq(&vc->lock);
	}
}

/* The firmware won't run it, ever again: everybody is told. */
static void fail(struct kcn_vcore *vc, struct kcn_vcpu *self, s64 status)
{
	unsigned long slots;
	int slot;

	spin_lock_irq(&vc->lock);
	slots = vc->queued | vc->to_run;
	vc->queued = 0;
	vc->to_run = 0;
	for_each_set_bit(slot, &slots, CATNAP_MAX_THREADS) {
		struct kcn_vcpu *kv = vc->vcpus[slot];

		let_out(kv, self, kcn_fail_entry(kv, status));
	}
	spin_unlock_irq(&vc->lock);
}

/* One run, with the partition there; false: there is nothing to run, or it can't be. */
static bool run_once(struct kcn_vcore *vc, struct kcn_vcpu *self)
{
	struct kcn_run run;
	s64 status;
	u8 named;

	spin_lock_irq(&vc->lock);
	named = vc->to_run;
	vc->to_run = 0;
	vc->queued |= named;
	vc->in_run = true;
	spin_unlock_irq(&vc->lock);

	status = kcn_vcore_run(vc, named, &run);

	spin_lock_irq(&vc->lock);
	vc->in_run = false;
	wake_kicked(vc);
	vc->queued &= ~run.exited;
	if (status == CATNAP_STATUS_SUCCESS) {
		settle_ceded(vc, run.ceded, run.rung);
	} else {
		/* The masks have had no effect. */
		named &= ~run.exited;
		vc->queued &= ~named;
		vc->to_run |= named;
	}
	spin_unlock_irq(&vc->lock);

	switch (status) {
	case CATNAP_STATUS_SUCCESS:
	case CATNAP_STATUS_EMPTY:
		settle_exited(vc, run.exited, self);
		return true;
	case CATNAP_STATUS_BUSY:
	case CATNAP_STATUS_BUSY_EVENT:
		return true;
	default:
		fail(vc, self, status);
		return false;
	}
}

static bool goes_on(struct kcn_vcore *vc, struct kcn_vcpu *self)
{
	u8 bit = kcn_bit(self);

	return !signal_pending(current) && !READ_ONCE(self->is_out) &&
	       (READ_ONCE(vc->to_run) | READ_ONCE(vc->queued)) & bit;
}

/*
 * Runs the vcore until this thread's own vcpu is out, waits in H_CEDE, or a signal is there. Comes back with the
 * vcore's lock held.
 */
void kcn_run_vcore(struct kcn_vcore *vc, struct kcn_vcpu *self) __acquires(&vc->lock)
{
	struct kcn_vm *vm = vc->vm;
	bool can_run = true;
	int error;

	while (can_run && goes_on(vc, self)) {
		if (!READ_ONCE(vm->is_ready)) {
			error = kcn_vm_build(vm);
			if (error) {
				fail(vc, self, error);
				break;
			}
		}
		down_read(&vm->running);
		if (READ_ONCE(vm->is_ready))
			can_run = run_once(vc, self);
		up_read(&vm->running);
		if (vc->gives_way) {
			vc->gives_way = false;
			yield();
		} else if (goes_on(vc, self)) {
			cond_resched();
		}
	}
	spin_lock_irq(&vc->lock);
	vc->runner = NULL;
	self->owes_wake = true;
}
