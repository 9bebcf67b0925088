// SPDX-License-Identifier: GPL-2.0
/*
 * Vcores and their vcpus' threads. One thread runs a vcore (runner.c); the others sleep until their vcpu
 * is out, or until there is no runner. A vcpu is, under its vcore's lock, one of
 *
 *   out		with its thread: is_out
 *   to run		in vc->to_run: the next run makes it runnable
 *   queued		in vc->queued: the firmware has it in its queue, and runs it in a run
 *   ceded		in vc->ceded: waits in H_CEDE, out of any run, until it has a cause to go on
 */
#include "kcn.h"

static s64 set_state(struct kcn_vcpu *kv, u64 state, u64 *answer)
{
	return kcn_call3(CATNAP_TOKEN_VCPU_SET_STATE, kv->vcore->handle, kcn_bit(kv), state, answer);
}

/* Whether an interrupt waits for the guest, for the firmware to see. */
void kcn_show_pending(struct kcn_vcpu *kv)
{
	bool is_pending = test_bit(BOOK3S_IRQPRIO_EXTERNAL, &kv->vcpu->arch.pending_exceptions);

	WRITE_ONCE(kv->page->host.pending, cpu_to_be64(is_pending ? CATNAP_PENDING_EXTERNAL : 0));
}

/* Whether a vcpu that has ceded is to go on. */
bool kcn_has_cause(const struct kcn_vcpu *kv)
{
	u64 tb = mftb() + kv->shadow.tb_offset;

	return test_bit(BOOK3S_IRQPRIO_EXTERNAL, &kv->vcpu->arch.pending_exceptions) || kv->is_prodded ||
	       (s64)(be64_to_cpu(kv->page->sprs.dec_expires_tb) - tb) <= 0;
}

/* Makes a vcpu runnable, in the run that goes on if it can still join it. Under the lock. */
static void make_runnable(struct kcn_vcpu *kv)
{
	struct kcn_vcore *vc = kv->vcore;

	kcn_show_pending(kv);
	if (kv->is_prodded) {
		kv->is_prodded = false;
		kv->page->firmware.prodded = cpu_to_be64(1);
	}
	if (vc->in_run && !set_state(kv, CATNAP_VCPU_STATE_RUNNABLE, NULL))
		vc->queued |= kcn_bit(kv);
	else
		vc->to_run |= kcn_bit(kv);
}

/* Has a vcpu that waits in H_CEDE go on, if it has a cause to; under the lock. */
bool kcn_unblock(struct kcn_vcpu *kv)
{
	struct kcn_vcore *vc = kv->vcore;

	if (!(vc->ceded & kcn_bit(kv)) || !kcn_has_cause(kv))
		return false;
	vc->ceded &= ~kcn_bit(kv);
	make_runnable(kv);
	return true;
}

/*
 * Doorbells that user space has set are rung as soon as the firmware has their vcpus. One that is rung twice
 * does no harm, one that is lost does: in a run the guest has its own.
 */
void kcn_ring(struct kcn_vcore *vc)
{
	u8 now = READ_ONCE(vc->doorbells) & READ_ONCE(vc->made);
	u64 rung;

	if (now &&
	    !kcn_call3(CATNAP_TOKEN_VCORE_DOORBELLS, vc->handle, CATNAP_DOORBELLS_ACTION_TELL, 0, &rung))
		kcn_call3(CATNAP_TOKEN_VCORE_DOORBELLS, vc->handle, CATNAP_DOORBELLS_ACTION_SET,
			  rung | now, NULL);
	vc->doorbells &= ~now;
}

u64 kcn_doorbells(const struct kcn_vcore *vc)
{
	u64 rung = 0;

	if (READ_ONCE(vc->made))
		kcn_call3(CATNAP_TOKEN_VCORE_DOORBELLS, vc->handle,
			  CATNAP_DOORBELLS_ACTION_TELL, 0, &rung);
	return rung | vc->doorbells;
}

/*
 * Takes a vcpu out for its own thread's sake; under the lock. False: it is in a run that has been told, and
 * out when that is over.
 */
static bool leave(struct kcn_vcpu *kv)
{
	struct kcn_vcore *vc = kv->vcore;
	u8 bit = kcn_bit(kv);
	u64 left = 0;

	if (vc->queued & bit) {
		if (!vc->in_run) {
			if (set_state(kv, CATNAP_VCPU_STATE_BUSY, NULL))
				return false;
		} else {
			kcn_call3(CATNAP_TOKEN_VCORE_KICK, vc->handle, bit, 1, &left);
			if (!(left & bit)) {
				vc->kicked |= bit;
				return false;
			}
		}
	}
	vc->queued &= ~bit;
	vc->to_run &= ~bit;
	vc->ceded &= ~bit;
	vc->kicked &= ~bit;
	kv->is_out = true;
	kv->result = -EINTR;
	return true;
}

/* Wakes a thread that can run the vcore in the place of one that doesn't. */
void kcn_wake_runner(struct kcn_vcore *vc)
{
	struct kcn_vcpu *next = NULL;
	unsigned long flags;
	u8 waiting;

	/* Who comes to wait later than the last runner went finds that there is none. */
	if (!(READ_ONCE(vc->to_run) | READ_ONCE(vc->queued)))
		return;
	spin_lock_irqsave(&vc->lock, flags);
	waiting = vc->to_run | vc->queued;
	if (waiting && !vc->runner)
		next = vc->vcpus[__ffs(waiting)];
	if (next)
		rcuwait_wake_up(next->vcpu->arch.waitp);
	spin_unlock_irqrestore(&vc->lock, flags);
}

static bool may_go_on(struct kcn_vcpu *kv)
{
	struct kcn_vcore *vc = kv->vcore;
	u8 bit = kcn_bit(kv);

	if (READ_ONCE(kv->is_out))
		return true;
	if (READ_ONCE(vc->ceded) & bit)
		return kcn_has_cause(kv);
	return !READ_ONCE(vc->runner) && (READ_ONCE(vc->to_run) | READ_ONCE(vc->queued)) & bit;
}

static void wait(struct kcn_vcpu *kv, bool is_kicked)
{
	struct rcuwait *w = kv->vcpu->arch.waitp;

	if (kv->owes_wake) {
		kv->owes_wake = false;
		kcn_wake_runner(kv->vcore);
	}
	if (is_kicked)
		rcuwait_wait_event(w, may_go_on(kv) || !READ_ONCE(kv->vcore->in_run), TASK_UNINTERRUPTIBLE);
	else
		rcuwait_wait_event(w, may_go_on(kv), TASK_INTERRUPTIBLE);
}

/* Until the vcpu is out: 0, or -EINTR when a signal waits for its thread. */
int kcn_vcpu_enter(struct kcn_vcpu *kv)
{
	struct kcn_vcore *vc = kv->vcore;
	bool is_kicked;

	spin_lock_irq(&vc->lock);
	kv->is_out = false;
	make_runnable(kv);
	while (!kv->is_out) {
		is_kicked = signal_pending(current) && !leave(kv);
		if (kv->is_out)
			break;
		kcn_unblock(kv);
		if (!vc->runner && !is_kicked && (vc->to_run | vc->queued) & kcn_bit(kv)) {
			vc->runner = kv;
			spin_unlock_irq(&vc->lock);
			kcn_run_vcore(vc, kv);
		} else {
			spin_unlock_irq(&vc->lock);
			wait(kv, is_kicked);
			spin_lock_irq(&vc->lock);
		}
	}
	spin_unlock_irq(&vc->lock);
	if (kv->has_timer) {
		kv->has_timer = false;
		hrtimer_cancel(&kv->vcpu->arch.dec_timer);
	}
	if (kv->owes_wake) {
		kv->owes_wake = false;
		kcn_wake_runner(vc);
	}
	return kv->result;
}

/* Something waits for the guest: KVM's fast_vcpu_kick. */
void kcn_kick(struct kvm_vcpu *vcpu)
{
	struct kcn_vcpu *kv = kcn_of(vcpu);
	struct kcn_vcore *vc = kv->vcore;
	unsigned long flags;
	bool wakes;

	spin_lock_irqsave(&vc->lock, flags);
	kcn_show_pending(kv);
	wakes = kcn_unblock(kv) && !vc->runner;
	if (vc->in_run && vc->queued & kcn_bit(kv))
		kcn_call3(CATNAP_TOKEN_VCORE_KICK, vc->handle, kcn_bit(kv), CATNAP_KICK_GUEST, NULL);
	spin_unlock_irqrestore(&vc->lock, flags);
	if (wakes)
		rcuwait_wake_up(vcpu->arch.waitp);
}

/* An H_PROD of a vcpu of another vcore's. */
void kcn_prod(struct kvm_vcpu *vcpu)
{
	struct kcn_vcpu *kv = kcn_of(vcpu);
	struct kcn_vcore *vc = kv->vcore;
	unsigned long flags;
	bool wakes;

	spin_lock_irqsave(&vc->lock, flags);
	kv->is_prodded = true;
	wakes = kcn_unblock(kv) && !vc->runner;
	/* In a run it may be waiting there: it comes out, and goes on prodded. */
	if (vc->in_run && vc->queued & kcn_bit(kv))
		kcn_call3(CATNAP_TOKEN_VCORE_KICK, vc->handle, kcn_bit(kv), 1, NULL);
	spin_unlock_irqrestore(&vc->lock, flags);
	if (wakes)
		rcuwait_wake_up(vcpu->arch.waitp);
}
