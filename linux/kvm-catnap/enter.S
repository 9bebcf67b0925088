/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Into the firmware and back. It runs in real mode, big-endian; this module is mapped by page
 * tables, so that nothing of it can run there. The firmware returns to three instructions in the
 * linear map (kcn_back), and these switch to r14 and r15, which every call keeps.
 */
#include <linux/linkage.h>
#include <asm/ppc_asm.h>
#include <asm/reg.h>
#include "call_layout.h"

#define FRAME_BYTES	64

/* r3 = struct kcn_call */
_GLOBAL(kcn_enter)
	mflr	r0
	std	r0,16(r1)
	mfcr	r0
	std	r0,8(r1)
	stdu	r1,-FRAME_BYTES(r1)
	std	r2,24(r1)
	std	r14,32(r1)
	std	r15,40(r1)
	std	r16,48(r1)
	mr	r16,r3
	bcl	20,31,0f
0:	mflr	r14
	addi	r14,r14,1f-0b
	mfmsr	r15
	ld	r0,KCN_CALL_BACK(r16)
	mtlr	r0
	ld	r0,KCN_CALL_ENTRY(r16)
	mtspr	SPRN_HSRR0,r0
	ld	r0,KCN_CALL_MSR(r16)
	mtspr	SPRN_HSRR1,r0
	ld	r0,KCN_CALL_TOKEN(r16)
	ld	r2,KCN_CALL_BASE(r16)
	ld	r3,(KCN_CALL_REGS+0)(r16)
	ld	r4,(KCN_CALL_REGS+8)(r16)
	ld	r5,(KCN_CALL_REGS+16)(r16)
	ld	r6,(KCN_CALL_REGS+24)(r16)
	ld	r7,(KCN_CALL_REGS+32)(r16)
	ld	r8,(KCN_CALL_REGS+40)(r16)
	ld	r9,(KCN_CALL_REGS+48)(r16)
	ld	r10,(KCN_CALL_REGS+56)(r16)
	hrfid
1:	std	r3,(KCN_CALL_REGS+0)(r16)
	std	r4,(KCN_CALL_REGS+8)(r16)
	std	r5,(KCN_CALL_REGS+16)(r16)
	std	r6,(KCN_CALL_REGS+24)(r16)
	std	r7,(KCN_CALL_REGS+32)(r16)
	std	r8,(KCN_CALL_REGS+40)(r16)
	std	r9,(KCN_CALL_REGS+48)(r16)
	ld	r16,48(r1)
	ld	r15,40(r1)
	ld	r14,32(r1)
	ld	r2,24(r1)
	addi	r1,r1,FRAME_BYTES
	ld	r0,8(r1)
	mtcrf	0xff,r0
	ld	r0,16(r1)
	mtlr	r0
	blr
