// SPDX-License-Identifier: GPL-2.0
/* Fills the one slot that KVM has for a backend in hypervisor mode. */
#include <linux/module.h>
#include <linux/of.h>
#include "kcn.h"

static void load_nothing(struct kvm_vcpu *vcpu, int cpu)
{
}

static void put_nothing(struct kvm_vcpu *vcpu)
{
}

static int check_requests(struct kvm_vcpu *vcpu)
{
	return 1;
}

static bool keep_range(struct kvm *kvm, struct kvm_gfn_range *range)
{
	/* Pages are pinned: whatever Linux unmaps, they stay the guest's. */
	return false;
}

static int emulate_op(struct kvm_vcpu *vcpu, unsigned int inst, int *advance)
{
	return EMULATE_FAIL;
}

static int emulate_mtspr(struct kvm_vcpu *vcpu, int sprn, ulong value)
{
	return EMULATE_FAIL;
}

static int emulate_mfspr(struct kvm_vcpu *vcpu, int sprn, ulong *value)
{
	return EMULATE_FAIL;
}

static struct kvmppc_ops ops = {
	.owner = THIS_MODULE,
	.get_sregs = kcn_get_sregs,
	.set_sregs = kcn_set_sregs,
	.get_one_reg = kcn_get_one_reg,
	.set_one_reg = kcn_set_one_reg,
	.vcpu_load = load_nothing,
	.vcpu_put = put_nothing,
	.inject_interrupt = kcn_inject,
	.set_msr = kcn_set_msr,
	.vcpu_run = kcn_vcpu_run,
	.vcpu_create = kcn_vcpu_create,
	.vcpu_free = kcn_vcpu_free,
	.check_requests = check_requests,
	.get_dirty_log = kcn_get_dirty_log,
	.flush_memslot = kcn_flush_memslot,
	.prepare_memory_region = kcn_prepare_memory,
	.commit_memory_region = kcn_commit_memory,
	.unmap_gfn_range = keep_range,
	.age_gfn = keep_range,
	.test_age_gfn = keep_range,
#ifdef KCN_HAS_SET_SPTE_GFN
	.set_spte_gfn = keep_range,
#endif
	.free_memslot = kcn_free_memslot,
	.init_vm = kcn_init_vm,
	.destroy_vm = kcn_destroy_vm,
	.get_smmu_info = kcn_get_smmu_info,
	.emulate_op = emulate_op,
	.emulate_mtspr = emulate_mtspr,
	.emulate_mfspr = emulate_mfspr,
	.fast_vcpu_kick = kcn_kick,
	.arch_vm_ioctl = kcn_vm_ioctl,
	.hcall_implemented = kcn_hcall_implemented,
	.set_smt_mode = kcn_set_smt_mode,
};

static bool __init speaks_our_version(void)
{
	u64 versions = kcn_query(CATNAP_QUERY_VERSIONS);

	return versions >> 32 <= CATNAP_VERSION && CATNAP_VERSION <= (u32)versions;
}

/* Every core's other threads are the firmware's. */
static bool __init cores_are_held(void)
{
	int cpu;
	u64 state;

	for_each_online_cpu(cpu)
		if (kcn_call3(CATNAP_TOKEN_CORE_CLAIM, get_hard_smp_processor_id(cpu),
			      CATNAP_CLAIM_ACTION_STATUS, 0, &state) ||
		    state != CATNAP_CORE_STATE_HELD)
			return false;
	return true;
}

/* Why it can't be loaded here; NULL: it can. */
static const char *__init obstacle(void)
{
	struct device_node *node = of_find_node_by_path("/ibm,opal/smt");
	bool is_catnap = of_device_is_compatible(node, "catnap,smt-v1");

	of_node_put(node);
	if (!is_catnap)
		return "this machine's firmware isn't catnap: /ibm,opal/smt isn't there";
	if (kvmppc_hv_ops)
		return "KVM has another backend already: is kvm-hv loaded?";
	if (kcn_call_init())
		return "the firmware's entry isn't in the device tree, or there is no memory";
	if (!speaks_our_version())
		return "the firmware has another version of the calls";
	if (!cores_are_held())
		return "this host has all threads of its cores: boot it without catnap.threads=host";
	return NULL;
}

static int __init kcn_init(void)
{
	const char *why = obstacle();

	if (why) {
		kcn_call_exit();
		pr_err("kvm-catnap: %s\n", why);
		return -ENODEV;
	}
	/* What a kernel has left that this one was started by. */
	kcn_call3(CATNAP_TOKEN_PARTITION_DESTROY, ~0ULL, 0, 0, NULL);
	kvmppc_init_lpid(kcn_query(CATNAP_QUERY_MAX_LPID) + 1);
	kvmppc_hv_ops = &ops;
	pr_info("kvm-catnap: guests of up to %llu threads a core\n", kcn_query(CATNAP_QUERY_THREADS));
	if (PAGE_SHIFT == 12)
		pr_notice("kvm-catnap: this kernel's pages have 4 KiB: QEMU needs -machine cap-hpt-max-page-size=4k,resize-hpt=disabled and -m with a maxmem of four times the memory\n");
	return 0;
}

static void __exit kcn_exit(void)
{
	kvmppc_hv_ops = NULL;
	kcn_call_exit();
}

module_init(kcn_init);
module_exit(kcn_exit);
MODULE_DESCRIPTION("KVM on catnap's vcores");
MODULE_LICENSE("GPL");
