// SPDX-License-Identifier: GPL-2.0
/*
 * The page table as a file (KVM_PPC_GET_HTAB_FD): user space translates a guest's addresses by it, and saves
 * and restores it. Records: a header, and as many entries, as the guest has written them, as it says.
 */
#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include "kcn.h"

#define ENTRY_BYTES	16
/* A record says how many entries in 16 bits. */
#define MOST_ENTRIES	0xffff

struct table_file {
	struct kvm *kvm;
	u64 flags;
	unsigned long index;
	/* All entries are told once, then those that have changed. */
	bool tells_all;
};

/* What the guest sees of an entry; whether there is one, and whether it is to be told. */
struct seen {
	u64 v;
	u64 r;
	bool is_told;
};

/* By the guest, or by the hardware: R and C that haven't been told. */
static bool has_changed(const __be64 *hpte, const struct revmap_entry *rev)
{
	u64 told = READ_ONCE(rev->guest_rpte);

	if (told & HPTE_GR_MODIFIED)
		return true;
	return be64_to_cpu(READ_ONCE(hpte[0])) & HPTE_V_VALID &&
	       be64_to_cpu(READ_ONCE(hpte[1])) & ~told & (HPTE_R_R | HPTE_R_C);
}

static struct seen look(struct table_file *file, unsigned long index)
{
	struct kvm_hpt_info *hpt = &file->kvm->arch.hpt;
	__be64 *hpte = (__be64 *)(hpt->virt + index * ENTRY_BYTES);
	struct revmap_entry *rev = &hpt->rev[index];
	struct seen seen = {};

	seen.is_told = file->tells_all || has_changed(hpte, rev);
	if (!seen.is_told || (!READ_ONCE(hpte[0]) && !(rev->guest_rpte & HPTE_GR_MODIFIED)))
		return seen;
	preempt_disable();
	while (!try_lock_hpte(hpte, HPTE_V_HVLOCK))
		cpu_relax();
	seen.v = be64_to_cpu(hpte[0]);
	if (seen.v & HPTE_V_VALID)
		rev->guest_rpte |= be64_to_cpu(hpte[1]) & (HPTE_R_R | HPTE_R_C);
	rev->guest_rpte &= ~HPTE_GR_MODIFIED;
	seen.r = rev->guest_rpte;
	unlock_hpte(hpte, seen.v & ~HPTE_V_HVLOCK);
	preempt_enable();
	if (!(seen.v & (HPTE_V_VALID | HPTE_V_ABSENT)) ||
	    (file->flags & KVM_GET_HTAB_BOLTED_ONLY && !(seen.v & HPTE_V_BOLTED)))
		seen.v = 0;
	else
		seen.v = (seen.v & ~(HPTE_V_HVLOCK | HPTE_V_ABSENT)) | HPTE_V_VALID;
	seen.r &= ~HPTE_GR_RESERVED;
	return seen;
}

/* One record: its bytes, 0 if there is nothing to tell up to the table's end, or an error. */
static ssize_t read_record(struct table_file *file, char __user *buf, size_t room)
{
	struct kvm_get_htab_header header = {};
	unsigned long count = kvmppc_hpt_npte(&file->kvm->arch.hpt);
	char __user *to = buf + sizeof(header);
	struct seen seen = {};

	for (; file->index < count; file->index++) {
		if (!(file->index % 4096))
			cond_resched();
		/* Is an entry, but there is no room for it: it must not be looked at yet. */
		if (to + ENTRY_BYTES > buf + room &&
		    READ_ONCE(*(u64 *)(file->kvm->arch.hpt.virt + file->index * ENTRY_BYTES)))
			break;
		if (header.n_invalid == MOST_ENTRIES || header.n_valid == MOST_ENTRIES)
			break;
		if (header.n_invalid &&
		    READ_ONCE(*(u64 *)(file->kvm->arch.hpt.virt + file->index * ENTRY_BYTES)))
			break;
		seen = look(file, file->index);
		if (!seen.is_told) {
			if (header.n_valid || header.n_invalid)
				break;
			continue;
		}
		if (!header.n_valid && !header.n_invalid)
			header.index = file->index;
		if (!seen.v) {
			header.n_invalid++;
		} else {
			__be64 pair[2] = { cpu_to_be64(seen.v), cpu_to_be64(seen.r) };

			if (copy_to_user(to, pair, sizeof(pair)))
				return -EFAULT;
			to += ENTRY_BYTES;
			header.n_valid++;
		}
	}
	if (!header.n_valid && !header.n_invalid)
		return 0;
	return copy_to_user(buf, &header, sizeof(header)) ? -EFAULT : to - buf;
}

static ssize_t table_read(struct file *filp, char __user *buf, size_t room, loff_t *pos)
{
	struct table_file *file = filp->private_data;
	struct kcn_vm *vm = kcn_vm_of(file->kvm);
	ssize_t done = 0, bytes = 0;

	mutex_lock(&vm->lock);
	while (file->kvm->arch.hpt.virt &&
	       done + sizeof(struct kvm_get_htab_header) + ENTRY_BYTES <= room) {
		bytes = read_record(file, buf + done, room - done);
		if (bytes > 0)
			done += bytes;
		if (file->index >= kvmppc_hpt_npte(&file->kvm->arch.hpt)) {
			file->index = 0;
			file->tells_all = false;
			break;
		}
		if (bytes <= 0 || fatal_signal_pending(current))
			break;
	}
	mutex_unlock(&vm->lock);
	return done ?: bytes;
}

/* With nobody in the guest. */
static int write_entry(struct kcn_vm *vm, unsigned long index, u64 v, u64 r)
{
	struct kvm *kvm = vm->kvm;
	__be64 *hpte = (__be64 *)(kvm->arch.hpt.virt + index * ENTRY_BYTES);
	unsigned long old[2], index_out;
	long status = H_SUCCESS;

	preempt_disable();
	if (be64_to_cpu(hpte[0]) & (HPTE_V_VALID | HPTE_V_ABSENT))
		kvmppc_do_h_remove(kvm, 0, index, 0, old);
	if (v & HPTE_V_VALID) {
		status = kvmppc_do_h_enter(kvm, H_EXACT, index, v, r, kvm->mm->pgd, false, &index_out);
		if (!status)
			kcn_hpt_note_vrma(vm, v);
	}
	preempt_enable();
	return status ? -EIO : 0;
}

static int write_record(struct kcn_vm *vm, const struct kvm_get_htab_header *header,
			const char __user *from)
{
	unsigned long i, end = (u64)header->index + header->n_valid + header->n_invalid;
	__be64 pair[2] = {};
	int error = 0;

	if (end > kvmppc_hpt_npte(&vm->kvm->arch.hpt))
		return -EINVAL;
	for (i = 0; i < header->n_valid + header->n_invalid && !error; i++) {
		if (i >= header->n_valid) {
			pair[0] = 0;
		} else if (copy_from_user(pair, from + i * ENTRY_BYTES, sizeof(pair))) {
			return -EFAULT;
		} else if (!(be64_to_cpu(pair[0]) & HPTE_V_VALID)) {
			return -EINVAL;
		}
		error = write_entry(vm, header->index + i, be64_to_cpu(pair[0]), be64_to_cpu(pair[1]));
		if (!(i % 1024))
			cond_resched();
	}
	return error;
}

static ssize_t table_write(struct file *filp, const char __user *buf, size_t len, loff_t *pos)
{
	struct table_file *file = filp->private_data;
	struct kcn_vm *vm = kcn_vm_of(file->kvm);
	struct kvm_get_htab_header header;
	ssize_t done = 0;
	int error = 0, srcu;

	mutex_lock(&vm->lock);
	if (!file->kvm->arch.hpt.virt)
		error = kcn_hpt_reset(vm, KVM_DEFAULT_HPT_ORDER);
	down_write(&vm->running);
	srcu = srcu_read_lock(&file->kvm->srcu);
	while (!error && done + sizeof(header) <= len) {
		size_t bytes = sizeof(header);

		if (copy_from_user(&header, buf + done, sizeof(header))) {
			error = -EFAULT;
			break;
		}
		bytes += header.n_valid * ENTRY_BYTES;
		if (done + bytes > len)
			break;
		error = write_record(vm, &header, buf + done + sizeof(header));
		if (!error)
			done += bytes;
	}
	srcu_read_unlock(&file->kvm->srcu, srcu);
	up_write(&vm->running);
	mutex_unlock(&vm->lock);
	return done ?: error;
}

static int table_release(struct inode *inode, struct file *filp)
{
	struct table_file *file = filp->private_data;

	if (!(file->flags & KVM_GET_HTAB_WRITE))
		atomic_dec(&file->kvm->arch.hpte_mod_interest);
	kvm_put_kvm(file->kvm);
	kfree(file);
	return 0;
}

static const struct file_operations table_operations = {
	.owner = THIS_MODULE,
	.read = table_read,
	.write = table_write,
	.llseek = noop_llseek,
	.release = table_release,
};

int kcn_hpt_file(struct kvm *kvm, const struct kvm_get_htab_fd *asked)
{
	bool writes = asked->flags & KVM_GET_HTAB_WRITE;
	struct table_file *file;
	int fd;

	if (asked->flags & ~(u64)(KVM_GET_HTAB_BOLTED_ONLY | KVM_GET_HTAB_WRITE) ||
	    asked->reserved[0] || asked->reserved[1])
		return -EINVAL;
	file = kzalloc(sizeof(*file), GFP_KERNEL_ACCOUNT);
	if (!file)
		return -ENOMEM;
	file->kvm = kvm;
	file->flags = asked->flags;
	file->index = asked->start_index;
	file->tells_all = true;
	kvm_get_kvm(kvm);
	/* Linux's helpers note what changes as long as somebody wants to know. */
	if (!writes)
		atomic_inc(&kvm->arch.hpte_mod_interest);
	fd = anon_inode_getfd("kvm-htab", &table_operations, file,
			      O_CLOEXEC | (writes ? O_WRONLY : O_RDONLY));
	if (fd >= 0)
		return fd;
	if (!writes)
		atomic_dec(&kvm->arch.hpte_mod_interest);
	kvm_put_kvm(kvm);
	kfree(file);
	return fd;
}
