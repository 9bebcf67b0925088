/* SPDX-License-Identifier: GPL-2.0 */
/* Where enter.S finds what a call needs: struct kcn_call, asserted in call.c. */
#ifndef KCN_CALL_LAYOUT_H
#define KCN_CALL_LAYOUT_H

#define KCN_CALL_REGS	0
#define KCN_CALL_TOKEN	64
#define KCN_CALL_ENTRY	72
#define KCN_CALL_BASE	80
#define KCN_CALL_BACK	88
#define KCN_CALL_MSR	96

#endif
