/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between the kernels that this is built for. */
#ifndef KCN_COMPAT_H
#define KCN_COMPAT_H

#include <linux/mmzone.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
typedef long kcn_ioctl_t;
#define KCN_HAS_SET_SPTE_GFN
#else
typedef int kcn_ioctl_t;
#endif

#ifndef MAX_PAGE_ORDER
#define MAX_PAGE_ORDER	(MAX_ORDER - 1)
#endif

#endif
