/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catnap's calls for hosts written in C: tokens, statuses and structures.
 *
 * Made by `cargo xtask header` from the crate hcalls. Don't edit it.
 */

#ifndef CATNAP_H
#define CATNAP_H


#include <linux/types.h>
#ifndef __KERNEL__
#include <stdint.h>
#endif

/*
 * The interface version of this crate; SMT_QUERY tells which versions a firmware speaks.
 */
#define CATNAP_VERSION 2

/*
 * The lowest version whose structures this one still takes: 2 has added to the end of
 * `PartitionConfig`.
 */
#define CATNAP_LOWEST_VERSION 1

/*
 * A core has at most this many hardware threads, a vcore at most this many vcpus.
 */
#define CATNAP_MAX_THREADS 8

/*
 * The map's second level comes in chunks of so many bytes, each at a multiple of that.
 */
#define CATNAP_CHUNK_BYTES (64 << 10)

/*
 * Words of a chunk: one for each page of the host's.
 */
#define CATNAP_CHUNK_WORDS (CATNAP_CHUNK_BYTES / 8)

/*
 * The map is for at most so many bytes.
 */
#define CATNAP_MAX_MAP_BYTES (1ULL << 44)

/*
 * Bytes of the shadow for each entry of the page table: the guest's second doubleword, and two words that
 * are the host's.
 */
#define CATNAP_SHADOW_ENTRY_BYTES 16

/*
 * All flags of PARTITION_MEMORY; others are refused.
 */
#define CATNAP_MEMORY_FLAGS CATNAP_MEMORY_LITTLE_ENDIAN

/*
 * Entries that one PARTITION_UNMAP looks at, at most.
 */
#define CATNAP_UNMAP_ENTRIES (1ULL << 16)

/*
 * `magic` of every vcpu page: "CNVP".
 */
#define CATNAP_MAGIC 1129207376

/*
 * Size and alignment.
 */
#define CATNAP_PAGE_BYTES 4096

/*
 * All flags of this version; VCPU_CREATE and VCORE_RUN ignore none: others are refused.
 */
#define CATNAP_FLAGS CATNAP_FLAG_FP

/*
 * SLB entries of POWER8.
 */
#define CATNAP_SLB_ENTRIES 32

/*
 * Give up the thread until an interrupt, a prod or the decrementer; MSR[EE] is set on return.
 */
#define CATNAP_H_CEDE 224

/*
 * Yield to the vcpu whose id is in r4, as long as its yield count is the one in r5. r4 = `ANYONE`:
 * yield to whoever has work.
 */
#define CATNAP_H_CONFER 228

/*
 * Wake the vcpu whose id is in r4, or let its next H_CEDE return at once.
 */
#define CATNAP_H_PROD 232

/*
 * Calls on the guest's page table: PAPR 14.5.4.1. Taken out; put in; told; C or R cleared; protection
 * changed; up to four taken out.
 */
#define CATNAP_H_REMOVE 4

#define CATNAP_H_ENTER 8

#define CATNAP_H_READ 12

#define CATNAP_H_CLEAR_MOD 16

#define CATNAP_H_CLEAR_REF 20

#define CATNAP_H_PROTECT 24

#define CATNAP_H_BULK_REMOVE 292

/*
 * No vcpu in particular, for H_CONFER.
 */
#define CATNAP_ANYONE (~0ULL)

#define CATNAP_H_SUCCESS 0

#define CATNAP_H_FUNCTION (uint64_t)-2ll

#define CATNAP_H_PARAMETER (uint64_t)-4ll

/*
 * All places of the group, or the one that was asked for, are taken.
 */
#define CATNAP_H_PTEG_FULL (uint64_t)-6ll

/*
 * The entry isn't there, or isn't the one that was meant.
 */
#define CATNAP_H_NOT_FOUND (uint64_t)-7ll

/*
 * Bytes of a configuration of version 1.
 */
#define CATNAP_V1_BYTES 56

/*
 * The LPCR bits that a partition may choose; all others are the firmware's.
 */
#define CATNAP_LPCR_CHOICE ((((CATNAP_LPCR_ILE | CATNAP_LPCR_AIL_3) | CATNAP_LPCR_DPFD) | CATNAP_LPCR_TC) | CATNAP_LPCR_ONL)

/*
 * All flags of this version; any other is refused.
 */
#define CATNAP_RUN_FLAGS (((CATNAP_RUN_KEEP_SLB | CATNAP_RUN_FP_CLEAN) | CATNAP_RUN_UNTOUCHED) | CATNAP_RUN_SPRS_LOST)

/*
 * What became of each vcpu that VCPU_SET_STATE made runnable: masks of slots in r4.
 */
#define CATNAP_JOINED_SHIFT 0

#define CATNAP_QUEUED_SHIFT 8

/*
 * VCORE_RUN r6: slots whose doorbell was rung and not heard yet, above those that have ceded; one
 * of them that has ceded is to run again.
 */
#define CATNAP_RUNG_SHIFT 8

/*
 * VCORE_RUN r7: the slot that left first in the upper half, its `ExitReason` below.
 */
#define CATNAP_FIRST_SLOT_SHIFT 32

/*
 * VCORE_RUN r8 when no vcpu that ran has a decrementer to wait for.
 */
#define CATNAP_NO_DECREMENTER (~0ULL)

/*
 * How many values `ExitReason` has.
 */
#define CATNAP_REASONS 16

/*
 * The reason in a vcpu page's firmware line, and in VCORE_RUN's r7.
 *
 * The interrupt vector that brought the thread out stands beside it as the page's `trap`
 * (Power ISA 2.07 Book III-S 6.5).
 */
enum catnap_exit_reason {
	/*
	 * Has not run since the run began (trap 0).
	 */
	CATNAP_EXIT_REASON_NONE = 0,
	/*
	 * `sc 1` that the host has to serve: number in GPR3 (vector 0xc00).
	 */
	CATNAP_EXIT_REASON_HYPERCALL = 1,
	/*
	 * The run's deadline came (0x980).
	 */
	CATNAP_EXIT_REASON_DEADLINE = 2,
	/*
	 * A host interrupt is pending on the runner and was left unread (0x500).
	 */
	CATNAP_EXIT_REASON_EXTERNAL = 3,
	/*
	 * Hypervisor data storage: HDAR, HDSISR (0xe00).
	 */
	CATNAP_EXIT_REASON_DATA_STORAGE = 4,
	/*
	 * Hypervisor instruction storage: HSRR1 (0xe20).
	 */
	CATNAP_EXIT_REASON_INSTRUCTION_STORAGE = 5,
	/*
	 * Hypervisor emulation assistance: HEIR (0xe40).
	 */
	CATNAP_EXIT_REASON_EMULATION_ASSIST = 6,
	/*
	 * A program interrupt that the machine gave to the hypervisor (0x700).
	 */
	CATNAP_EXIT_REASON_PROGRAM = 7,
	/*
	 * Hypervisor facility unavailable: HFSCR's cause field (0xf80).
	 */
	CATNAP_EXIT_REASON_FACILITY_UNAVAILABLE = 8,
	/*
	 * Machine check (0x200): DSISR, DAR as the machine left them in the firmware line.
	 */
	CATNAP_EXIT_REASON_MACHINE_CHECK = 9,
	/*
	 * Hypervisor maintenance: HMER (0xe60).
	 */
	CATNAP_EXIT_REASON_MAINTENANCE = 10,
	/*
	 * System reset (0x100).
	 */
	CATNAP_EXIT_REASON_SYSTEM_RESET = 11,
	/*
	 * VCORE_KICK asked for it.
	 */
	CATNAP_EXIT_REASON_KICK = 12,
	/*
	 * Every vcpu of the vcore that ran has ceded; this one was among them.
	 */
	CATNAP_EXIT_REASON_CEDED = 13,
	/*
	 * Pulled out since a sibling left; nothing to serve, still runnable.
	 */
	CATNAP_EXIT_REASON_PULLED = 14,
	/*
	 * Another interrupt that the guest should not have caused; the vector is in `trap`.
	 */
	CATNAP_EXIT_REASON_UNEXPECTED = 15,
};

/*
 * How a partition's real addresses reach memory.
 */
enum catnap_memory_mode {
	/*
	 * Offset by RMOR, bounded by LPCR[RMLS] (Power ISA 2.07 Book III-S 5.7.3.2).
	 */
	CATNAP_MEMORY_MODE_RMOR = 0,
	/*
	 * Virtual real mode: through the partition's hashed page table (5.7.3.3).
	 */
	CATNAP_MEMORY_MODE_VRMA = 1,
};

/*
 * When a vcore may run (B8).
 */
enum catnap_policy {
	/*
	 * When every vcpu is runnable or blocked.
	 */
	CATNAP_POLICY_COMPLETE = 0,
	/*
	 * When at least one vcpu is runnable.
	 */
	CATNAP_POLICY_EAGER = 1,
};

/*
 * Which hardware thread a vcpu gets (B14, B15).
 */
enum catnap_ptid_mode {
	/*
	 * Its place in the queue.
	 */
	CATNAP_PTID_MODE_PACKED = 0,
	/*
	 * Its id modulo the threads per vcore; `msgsndp` and TIR need this.
	 */
	CATNAP_PTID_MODE_ALIGNED = 1,
};

/*
 * What SMT_QUERY is asked for.
 */
enum catnap_query {
	/*
	 * Lowest version in the upper half, highest in the lower.
	 */
	CATNAP_QUERY_VERSIONS = 0,
	/*
	 * Feature bits: `FEATURE_…`.
	 */
	CATNAP_QUERY_FEATURES = 1,
	/*
	 * vcpus per vcore: the threads of a core (B5).
	 */
	CATNAP_QUERY_THREADS = 2,
	/*
	 * Bit n set: a partition may have 2^n vcpus per vcore (B5).
	 */
	CATNAP_QUERY_WIDTHS = 3,
	/*
	 * Size and alignment of a vcpu page.
	 */
	CATNAP_QUERY_PAGE_BYTES = 4,
	/*
	 * Most partitions at a time.
	 */
	CATNAP_QUERY_MAX_PARTITIONS = 5,
	/*
	 * Most vcores at a time, of all partitions.
	 */
	CATNAP_QUERY_MAX_VCORES = 6,
	/*
	 * Vcpu ids of one partition are below this.
	 */
	CATNAP_QUERY_MAX_VCPU_ID = 7,
	/*
	 * Highest LPID.
	 */
	CATNAP_QUERY_MAX_LPID = 8,
	/*
	 * Ticks of the time base that a run can last.
	 */
	CATNAP_QUERY_MAX_RUN_TB = 9,
	/*
	 * Bit n set: a partition in RMOR mode may have 2^n bytes of memory.
	 */
	CATNAP_QUERY_REAL_MODE_SIZES = 10,
};

/*
 * A vcpu's state (B7), VCPU_SET_STATE r5.
 */
enum catnap_vcpu_state {
	/*
	 * Ready to enter its guest.
	 */
	CATNAP_VCPU_STATE_RUNNABLE = 0,
	/*
	 * Idle: does not hold back its siblings.
	 */
	CATNAP_VCPU_STATE_BLOCKED = 1,
	/*
	 * The host does work for it.
	 */
	CATNAP_VCPU_STATE_BUSY = 2,
};

/*
 * CORE_CLAIM r4.
 */
enum catnap_claim_action {
	/*
	 * Only tell: r4 = a `CoreState`.
	 */
	CATNAP_CLAIM_ACTION_STATUS = 0,
	/*
	 * The firmware takes the core's secondaries; ends a fence when they all answer.
	 */
	CATNAP_CLAIM_ACTION_CLAIM = 1,
	/*
	 * The host gets them: START_CPU starts them, VCORE_RUN is refused there.
	 */
	CATNAP_CLAIM_ACTION_RELEASE = 2,
};

/*
 * VCORE_DOORBELLS r4.
 */
enum catnap_doorbells_action {
	/*
	 * Nothing is changed.
	 */
	CATNAP_DOORBELLS_ACTION_TELL = 0,
	/*
	 * Those of the mask are rung, and no others.
	 */
	CATNAP_DOORBELLS_ACTION_SET = 1,
};

/*
 * Who has a core's secondaries, CORE_CLAIM's r4 on return.
 */
enum catnap_core_state {
	/*
	 * The firmware: vcores can run.
	 */
	CATNAP_CORE_STATE_HELD = 0,
	/*
	 * The host.
	 */
	CATNAP_CORE_STATE_RELEASED = 1,
	/*
	 * A thread never came back; CORE_CLAIM tries again to get it.
	 */
	CATNAP_CORE_STATE_FENCED = 2,
};

/*
 * What a call answers in r3.
 */
enum catnap_status {
	/*
	 * Done.
	 */
	CATNAP_STATUS_SUCCESS = 0,
	/*
	 * CHECK_TOKEN: the call is served.
	 */
	CATNAP_STATUS_PRESENT = 1,
	/*
	 * An argument is wrong; r4 holds its number, 1 for r3.
	 */
	CATNAP_STATUS_PARAMETER = -1,
	/*
	 * The object is at work elsewhere, or another host core was faster.
	 */
	CATNAP_STATUS_BUSY = -2,
	/*
	 * A thread never came back: the core is fenced, r5 holds the mask of its ptids.
	 */
	CATNAP_STATUS_PARTIAL = -3,
	/*
	 * The partition's policy isn't met: not all vcpus are runnable or blocked.
	 */
	CATNAP_STATUS_CONSTRAINED = -4,
	/*
	 * Something in the machine does not answer.
	 */
	CATNAP_STATUS_HARDWARE = -6,
	/*
	 * No such call, feature or version here.
	 */
	CATNAP_STATUS_UNSUPPORTED = -7,
	/*
	 * No room for another object.
	 */
	CATNAP_STATUS_RESOURCE = -10,
	/*
	 * Nothing was taken just now; try again.
	 */
	CATNAP_STATUS_BUSY_EVENT = -12,
	/*
	 * Not on this thread or not in this state: not thread 0, or its siblings aren't held.
	 */
	CATNAP_STATUS_WRONG_STATE = -14,
	/*
	 * A vcpu was kicked before the run: no guest instruction ran.
	 */
	CATNAP_STATUS_EMPTY = -16,
};

/*
 * SMT_STATS r5.
 */
enum catnap_stats_action {
	CATNAP_STATS_ACTION_SNAPSHOT = 0,
	/*
	 * Snapshot, then start again at zero.
	 */
	CATNAP_STATS_ACTION_RESET = 1,
};

/*
 * A call of catnap's own.
 */
enum catnap_token {
	CATNAP_TOKEN_SMT_QUERY = 1100,
	CATNAP_TOKEN_CORE_CLAIM = 1101,
	CATNAP_TOKEN_PARTITION_CREATE = 1102,
	CATNAP_TOKEN_PARTITION_DESTROY = 1103,
	CATNAP_TOKEN_VCPU_CREATE = 1104,
	CATNAP_TOKEN_VCPU_DESTROY = 1105,
	CATNAP_TOKEN_VCORE_RUN = 1106,
	CATNAP_TOKEN_VCPU_SET_STATE = 1107,
	CATNAP_TOKEN_VCORE_KICK = 1108,
	CATNAP_TOKEN_SMT_STATS = 1109,
	CATNAP_TOKEN_SMT_TRACE = 1110,
	CATNAP_TOKEN_PARTITION_UPDATE = 1111,
	CATNAP_TOKEN_VCORE_DOORBELLS = 1112,
	CATNAP_TOKEN_PARTITION_MEMORY = 1113,
	CATNAP_TOKEN_PARTITION_UNMAP = 1114,
};

/*
 * What the host writes (128 bytes: one cache line).
 */
struct catnap_host_line {
	__be32 magic;
	__be32 version;
	__be64 flags;
	__be64 pending;
	/*
	 * The host's own; the firmware never looks at it.
	 */
	__be64 cookie;
	__be64 reserved[12];
};

/*
 * What the firmware writes (128 bytes: one cache line).
 */
struct catnap_firmware_line {
	/*
	 * 0: the host's. Otherwise the PIR of its thread, with `OWNED` set.
	 */
	__be64 owner;
	/*
	 * Interrupt vector of the last exit; 0 when it did not run (B13, B34).
	 */
	__be32 trap;
	/*
	 * An `ExitReason`.
	 */
	__be32 reason;
	/*
	 * SRR0 or HSRR0 of that interrupt.
	 */
	__be64 srr0;
	/*
	 * SRR1 or HSRR1, with its cause bits.
	 */
	__be64 srr1;
	__be64 hdar;
	__be32 hdsisr;
	__be32 heir;
	/*
	 * HMER or, after a machine check, DSISR.
	 */
	__be64 fault;
	/*
	 * Time base of the last entry and of the last exit.
	 */
	__be64 entered_tb;
	__be64 left_tb;
	/*
	 * Not 0: a prod came while the vcpu wasn't ceded; the next H_CEDE returns at once. The host
	 * sets it, while the vcpu isn't running, when it serves an H_PROD that the firmware left to it.
	 */
	__be64 prodded;
	/*
	 * Counts and times since the vcpu was created (L7).
	 */
	__be64 entries;
	__be64 in_guest_tb;
	__be64 ceded_tb;
	/*
	 * Hypercalls served in the firmware.
	 */
	__be64 served;
	/*
	 * H_CEDE and H_CONFER.
	 */
	__be64 yields;
	/*
	 * The causes, ORed, of the kicks that the vcpu's last exit or refusal has answered.
	 */
	__be64 kick_cause;
};

/*
 * The special-purpose registers of a guest thread (Power ISA 2.07 Book III-S, appendix of SPRs).
 */
struct catnap_sprs {
	__be64 srr0;
	__be64 srr1;
	__be64 sprg[4];
	__be64 dar;
	__be64 dsisr;
	/*
	 * The time base value at which the decrementer passes 0; DEC is derived from it.
	 */
	__be64 dec_expires_tb;
	__be64 fscr;
	__be64 dscr;
	__be64 tar;
	__be64 ppr;
	__be64 pspb;
	__be64 dawr;
	__be64 dawrx;
	__be64 ciabr;
	__be64 iamr;
	__be64 amr;
	__be64 uamor;
	__be64 pid;
	__be64 acop;
	__be64 tacr;
	__be64 tcscr;
	__be64 csigr;
	__be64 wort;
	__be64 vrsave;
	__be64 ctrl;
	__be64 ic;
	__be64 ebbhr;
	__be64 ebbrr;
	__be64 bescr;
	/*
	 * For transactional memory, which no guest has: left alone, like the next two.
	 */
	__be64 tfhar;
	__be64 tfiar;
	__be64 texasr;
	__be64 mmcr0;
	__be64 mmcr1;
	__be64 mmcr2;
	__be64 mmcra;
	__be64 mmcrs;
	__be64 siar;
	__be64 sdar;
	__be64 sier;
	__be64 pmc[6];
	__be64 spmc[2];
	/*
	 * The virtual time base at the last exit; the firmware keeps it, for the whole vcore.
	 */
	__be64 vtb;
};

/*
 * One SLB entry as `slbmte` takes it: RB (ESID, V, and the entry's number 0–31) and RS.
 */
struct catnap_slb_entry {
	__be64 esid;
	__be64 vsid;
};

/*
 * The whole page.
 */
struct catnap_vcpu_page {
	struct catnap_host_line host;
	struct catnap_firmware_line firmware;
	__be64 gpr[32];
	/*
	 * Where the guest goes on.
	 */
	__be64 pc;
	/*
	 * Its MSR; the firmware forces HV off and ME on.
	 */
	__be64 msr;
	__be64 cr;
	__be64 lr;
	__be64 ctr;
	__be64 xer;
	__be64 cfar;
	/*
	 * How many of `slb` are loaded at entry; the others are invalid.
	 */
	__be64 slb_count;
	struct catnap_sprs sprs;
	__be64 reserved0[4];
	struct catnap_slb_entry slb[CATNAP_SLB_ENTRIES];
	/*
	 * VSR 0–63; the upper doubleword of 0–31 is FPR 0–31, 32–63 are VR 0–31.
	 */
	__be64 vsr[64][2];
	__be64 fpscr;
	__be64 reserved1;
	__be64 vscr[2];
	__be64 reserved2[188];
};

/*
 * A partition as the host asks for it. Big-endian, 64 bytes, of which version 1 has the first
 * `V1_BYTES`; 8-byte aligned, in RAM.
 */
struct catnap_partition_config {
	/*
	 * `VERSION`.
	 */
	__be32 version;
	/*
	 * LPIDR value, 1 to the limit that SMT_QUERY gives; 0 is the host's own.
	 */
	__be32 lpid;
	/*
	 * A `MemoryMode`.
	 */
	__be32 memory_mode;
	/*
	 * vcpus per vcore: a width that SMT_QUERY lists.
	 */
	__be32 smt_width;
	/*
	 * A `PtidMode`.
	 */
	__be32 ptid_mode;
	/*
	 * A `Policy`.
	 */
	__be32 policy;
	/*
	 * RMOR mode: where the partition's real 0 lies, aligned to `rm_len_bytes`.
	 * VRMA mode: SDR1, the hashed page table's address and size.
	 */
	__be64 base;
	/*
	 * RMOR mode: a size that SMT_QUERY's RealModeSizes lists, out of LPCR[RMLS]'s 64 MiB,
	 * 128 MiB, 256 MiB, 1 GiB, 16 GiB and 256 GiB.
	 * VRMA mode: the VRMASD field, right-justified (5 bits: L || LP).
	 */
	__be64 rm_len_bytes;
	/*
	 * LPCR bits the guest is to run with, out of `LPCR_CHOICE`.
	 */
	__be64 lpcr;
	/*
	 * Added to the time base that the guest reads; a multiple of 2^24. Times in the partition's
	 * vcpu pages are of that time base, those in calls of the host's.
	 */
	__be64 tb_offset;
	/*
	 * Since version 2: out of `FLAGS`.
	 */
	__be64 flags;
};

/*
 * Big-endian, 8-byte aligned, in RAM; SMT_STATS r3 = vcore, r4 = address, r5 = `StatsAction`.
 */
struct catnap_vcore_stats {
	/*
	 * Runs that were started.
	 */
	__be64 runs;
	/*
	 * Runs that were refused (busy, constrained, kicked).
	 */
	__be64 refused;
	/*
	 * Threads woken by IPI.
	 */
	__be64 woken;
	/*
	 * Late joiners.
	 */
	__be64 joined;
	/*
	 * Guest entries, those after a served hypercall left out.
	 */
	__be64 entries;
	/*
	 * Hypercalls served in the firmware.
	 */
	__be64 served;
	/*
	 * Kicks accepted.
	 */
	__be64 kicks;
	/*
	 * Time base ticks from each run's call to its return, added up.
	 */
	__be64 run_tb;
	/*
	 * Exits by reason.
	 */
	__be64 exits[CATNAP_REASONS];
};







/*
 * The host's pages have 4 KiB or 64 KiB.
 */
#define CATNAP_PAGE_SHIFTS { 12, 16, }







































































#define CATNAP_FLAG_FP 0x1ULL
#define CATNAP_PENDING_EXTERNAL 0x1ULL
#define CATNAP_OWNED 0x8000000000000000ULL
#define CATNAP_MMCR0_FROZEN 0x80000000ULL
#define CATNAP_LPCR_ILE 0x2000000ULL
#define CATNAP_LPCR_AIL_3 0x1800000ULL
#define CATNAP_LPCR_DPFD 0x70000000000000ULL
#define CATNAP_LPCR_TC 0x200ULL
#define CATNAP_LPCR_ONL 0x40000ULL
#define CATNAP_FLAG_REFLECT 0x1ULL
#define CATNAP_FEATURE_RMOR 0x1ULL
#define CATNAP_FEATURE_VRMA 0x2ULL
#define CATNAP_FEATURE_LITTLE_ENDIAN 0x4ULL
#define CATNAP_FEATURE_PTID_ALIGNED 0x8ULL
#define CATNAP_FEATURE_EAGER 0x10ULL
#define CATNAP_FEATURE_CEDE 0x20ULL
#define CATNAP_FEATURE_STATS 0x40ULL
#define CATNAP_FEATURE_TRACE 0x80ULL
#define CATNAP_FEATURE_L1D_FLUSH 0x100ULL
#define CATNAP_FEATURE_LINK_STACK_FLUSH 0x200ULL
#define CATNAP_FEATURE_REFLECT 0x400ULL
#define CATNAP_FEATURE_TABLE 0x800ULL
#define CATNAP_PAGE_READ 0x1ULL
#define CATNAP_PAGE_WRITE 0x2ULL
#define CATNAP_PAGE_CHANGED 0x4ULL
#define CATNAP_MEMORY_LITTLE_ENDIAN 0x1ULL
#define CATNAP_RUN_KEEP_SLB 0x1ULL
#define CATNAP_RUN_FP_CLEAN 0x2ULL
#define CATNAP_RUN_UNTOUCHED 0x4ULL
#define CATNAP_RUN_SPRS_LOST 0x8ULL
#define CATNAP_SET_COMPLETE 0x10000ULL
#define CATNAP_KICK_GUEST 0x8000000000000000ULL

/* As the firmware has them. */
_Static_assert(sizeof(struct catnap_host_line) == 128, "host_line");
_Static_assert(sizeof(struct catnap_firmware_line) == 128, "firmware_line");
_Static_assert(sizeof(struct catnap_sprs) == 416, "sprs");
_Static_assert(sizeof(struct catnap_slb_entry) == 16, "slb_entry");
_Static_assert(sizeof(struct catnap_vcpu_page) == 4096, "vcpu_page");
_Static_assert(sizeof(struct catnap_partition_config) == 64, "partition_config");
_Static_assert(sizeof(struct catnap_vcore_stats) == 192, "vcore_stats");
_Static_assert(__builtin_offsetof(struct catnap_host_line, magic) == 0, "host_line.magic");
_Static_assert(__builtin_offsetof(struct catnap_host_line, version) == 4, "host_line.version");
_Static_assert(__builtin_offsetof(struct catnap_host_line, flags) == 8, "host_line.flags");
_Static_assert(__builtin_offsetof(struct catnap_host_line, pending) == 16, "host_line.pending");
_Static_assert(__builtin_offsetof(struct catnap_host_line, cookie) == 24, "host_line.cookie");
_Static_assert(__builtin_offsetof(struct catnap_firmware_line, owner) == 0, "firmware_line.owner");
_Static_assert(__builtin_offsetof(struct catnap_firmware_line, trap) == 8, "firmware_line.trap");
_Static_assert(__builtin_offsetof(struct catnap_firmware_line, reason) == 12, "firmware_line.reason");
_Static_assert(__builtin_offsetof(struct catnap_firmware_line, srr0) == 16, "firmware_line.srr0");
_Static_assert(__builtin_offsetof(struct catnap_firmware_line, srr1) == 24, "firmware_line.srr1");
_Static_assert(__builtin_offsetof(struct catnap_firmware_line, hdar) == 32, "firmware_line.hdar");
_Static_assert(__builtin_offsetof(struct catnap_firmware_line, hdsisr) == 40, "firmware_line.hdsisr");
_Static_assert(__builtin_offsetof(struct catnap_firmware_line, heir) == 44, "firmware_line.heir");
_Static_assert(__builtin_offsetof(struct catnap_firmware_line, fault) == 48, "firmware_line.fault");
_Static_assert(__builtin_offsetof(struct catnap_firmware_line, entered_tb) == 56, "firmware_line.entered_tb");
_Static_assert(__builtin_offsetof(struct catnap_firmware_line, left_tb) == 64, "firmware_line.left_tb");
_Static_assert(__builtin_offsetof(struct catnap_firmware_line, prodded) == 72, "firmware_line.prodded");
_Static_assert(__builtin_offsetof(struct catnap_firmware_line, entries) == 80, "firmware_line.entries");
_Static_assert(__builtin_offsetof(struct catnap_firmware_line, in_guest_tb) == 88, "firmware_line.in_guest_tb");
_Static_assert(__builtin_offsetof(struct catnap_firmware_line, ceded_tb) == 96, "firmware_line.ceded_tb");
_Static_assert(__builtin_offsetof(struct catnap_firmware_line, served) == 104, "firmware_line.served");
_Static_assert(__builtin_offsetof(struct catnap_firmware_line, yields) == 112, "firmware_line.yields");
_Static_assert(__builtin_offsetof(struct catnap_firmware_line, kick_cause) == 120, "firmware_line.kick_cause");
_Static_assert(__builtin_offsetof(struct catnap_sprs, srr0) == 0, "sprs.srr0");
_Static_assert(__builtin_offsetof(struct catnap_sprs, srr1) == 8, "sprs.srr1");
_Static_assert(__builtin_offsetof(struct catnap_sprs, sprg) == 16, "sprs.sprg");
_Static_assert(__builtin_offsetof(struct catnap_sprs, dar) == 48, "sprs.dar");
_Static_assert(__builtin_offsetof(struct catnap_sprs, dsisr) == 56, "sprs.dsisr");
_Static_assert(__builtin_offsetof(struct catnap_sprs, dec_expires_tb) == 64, "sprs.dec_expires_tb");
_Static_assert(__builtin_offsetof(struct catnap_sprs, fscr) == 72, "sprs.fscr");
_Static_assert(__builtin_offsetof(struct catnap_sprs, dscr) == 80, "sprs.dscr");
_Static_assert(__builtin_offsetof(struct catnap_sprs, tar) == 88, "sprs.tar");
_Static_assert(__builtin_offsetof(struct catnap_sprs, ppr) == 96, "sprs.ppr");
_Static_assert(__builtin_offsetof(struct catnap_sprs, pspb) == 104, "sprs.pspb");
_Static_assert(__builtin_offsetof(struct catnap_sprs, dawr) == 112, "sprs.dawr");
_Static_assert(__builtin_offsetof(struct catnap_sprs, dawrx) == 120, "sprs.dawrx");
_Static_assert(__builtin_offsetof(struct catnap_sprs, ciabr) == 128, "sprs.ciabr");
_Static_assert(__builtin_offsetof(struct catnap_sprs, iamr) == 136, "sprs.iamr");
_Static_assert(__builtin_offsetof(struct catnap_sprs, amr) == 144, "sprs.amr");
_Static_assert(__builtin_offsetof(struct catnap_sprs, uamor) == 152, "sprs.uamor");
_Static_assert(__builtin_offsetof(struct catnap_sprs, pid) == 160, "sprs.pid");
_Static_assert(__builtin_offsetof(struct catnap_sprs, acop) == 168, "sprs.acop");
_Static_assert(__builtin_offsetof(struct catnap_sprs, tacr) == 176, "sprs.tacr");
_Static_assert(__builtin_offsetof(struct catnap_sprs, tcscr) == 184, "sprs.tcscr");
_Static_assert(__builtin_offsetof(struct catnap_sprs, csigr) == 192, "sprs.csigr");
_Static_assert(__builtin_offsetof(struct catnap_sprs, wort) == 200, "sprs.wort");
_Static_assert(__builtin_offsetof(struct catnap_sprs, vrsave) == 208, "sprs.vrsave");
_Static_assert(__builtin_offsetof(struct catnap_sprs, ctrl) == 216, "sprs.ctrl");
_Static_assert(__builtin_offsetof(struct catnap_sprs, ic) == 224, "sprs.ic");
_Static_assert(__builtin_offsetof(struct catnap_sprs, ebbhr) == 232, "sprs.ebbhr");
_Static_assert(__builtin_offsetof(struct catnap_sprs, ebbrr) == 240, "sprs.ebbrr");
_Static_assert(__builtin_offsetof(struct catnap_sprs, bescr) == 248, "sprs.bescr");
_Static_assert(__builtin_offsetof(struct catnap_sprs, tfhar) == 256, "sprs.tfhar");
_Static_assert(__builtin_offsetof(struct catnap_sprs, tfiar) == 264, "sprs.tfiar");
_Static_assert(__builtin_offsetof(struct catnap_sprs, texasr) == 272, "sprs.texasr");
_Static_assert(__builtin_offsetof(struct catnap_sprs, mmcr0) == 280, "sprs.mmcr0");
_Static_assert(__builtin_offsetof(struct catnap_sprs, mmcr1) == 288, "sprs.mmcr1");
_Static_assert(__builtin_offsetof(struct catnap_sprs, mmcr2) == 296, "sprs.mmcr2");
_Static_assert(__builtin_offsetof(struct catnap_sprs, mmcra) == 304, "sprs.mmcra");
_Static_assert(__builtin_offsetof(struct catnap_sprs, mmcrs) == 312, "sprs.mmcrs");
_Static_assert(__builtin_offsetof(struct catnap_sprs, siar) == 320, "sprs.siar");
_Static_assert(__builtin_offsetof(struct catnap_sprs, sdar) == 328, "sprs.sdar");
_Static_assert(__builtin_offsetof(struct catnap_sprs, sier) == 336, "sprs.sier");
_Static_assert(__builtin_offsetof(struct catnap_sprs, pmc) == 344, "sprs.pmc");
_Static_assert(__builtin_offsetof(struct catnap_sprs, spmc) == 392, "sprs.spmc");
_Static_assert(__builtin_offsetof(struct catnap_sprs, vtb) == 408, "sprs.vtb");
_Static_assert(__builtin_offsetof(struct catnap_vcpu_page, host) == 0, "vcpu_page.host");
_Static_assert(__builtin_offsetof(struct catnap_vcpu_page, firmware) == 128, "vcpu_page.firmware");
_Static_assert(__builtin_offsetof(struct catnap_vcpu_page, gpr) == 256, "vcpu_page.gpr");
_Static_assert(__builtin_offsetof(struct catnap_vcpu_page, pc) == 512, "vcpu_page.pc");
_Static_assert(__builtin_offsetof(struct catnap_vcpu_page, msr) == 520, "vcpu_page.msr");
_Static_assert(__builtin_offsetof(struct catnap_vcpu_page, cr) == 528, "vcpu_page.cr");
_Static_assert(__builtin_offsetof(struct catnap_vcpu_page, lr) == 536, "vcpu_page.lr");
_Static_assert(__builtin_offsetof(struct catnap_vcpu_page, ctr) == 544, "vcpu_page.ctr");
_Static_assert(__builtin_offsetof(struct catnap_vcpu_page, xer) == 552, "vcpu_page.xer");
_Static_assert(__builtin_offsetof(struct catnap_vcpu_page, cfar) == 560, "vcpu_page.cfar");
_Static_assert(__builtin_offsetof(struct catnap_vcpu_page, slb_count) == 568, "vcpu_page.slb_count");
_Static_assert(__builtin_offsetof(struct catnap_vcpu_page, sprs) == 576, "vcpu_page.sprs");
_Static_assert(__builtin_offsetof(struct catnap_vcpu_page, slb) == 1024, "vcpu_page.slb");
_Static_assert(__builtin_offsetof(struct catnap_vcpu_page, vsr) == 1536, "vcpu_page.vsr");
_Static_assert(__builtin_offsetof(struct catnap_vcpu_page, fpscr) == 2560, "vcpu_page.fpscr");
_Static_assert(__builtin_offsetof(struct catnap_vcpu_page, vscr) == 2576, "vcpu_page.vscr");
_Static_assert(__builtin_offsetof(struct catnap_partition_config, version) == 0, "partition_config.version");
_Static_assert(__builtin_offsetof(struct catnap_partition_config, lpid) == 4, "partition_config.lpid");
_Static_assert(__builtin_offsetof(struct catnap_partition_config, memory_mode) == 8, "partition_config.memory_mode");
_Static_assert(__builtin_offsetof(struct catnap_partition_config, smt_width) == 12, "partition_config.smt_width");
_Static_assert(__builtin_offsetof(struct catnap_partition_config, ptid_mode) == 16, "partition_config.ptid_mode");
_Static_assert(__builtin_offsetof(struct catnap_partition_config, policy) == 20, "partition_config.policy");
_Static_assert(__builtin_offsetof(struct catnap_partition_config, base) == 24, "partition_config.base");
_Static_assert(__builtin_offsetof(struct catnap_partition_config, rm_len_bytes) == 32, "partition_config.rm_len_bytes");
_Static_assert(__builtin_offsetof(struct catnap_partition_config, lpcr) == 40, "partition_config.lpcr");
_Static_assert(__builtin_offsetof(struct catnap_partition_config, tb_offset) == 48, "partition_config.tb_offset");
_Static_assert(__builtin_offsetof(struct catnap_partition_config, flags) == 56, "partition_config.flags");
_Static_assert(__builtin_offsetof(struct catnap_vcore_stats, runs) == 0, "vcore_stats.runs");
_Static_assert(__builtin_offsetof(struct catnap_vcore_stats, refused) == 8, "vcore_stats.refused");
_Static_assert(__builtin_offsetof(struct catnap_vcore_stats, woken) == 16, "vcore_stats.woken");
_Static_assert(__builtin_offsetof(struct catnap_vcore_stats, joined) == 24, "vcore_stats.joined");
_Static_assert(__builtin_offsetof(struct catnap_vcore_stats, entries) == 32, "vcore_stats.entries");
_Static_assert(__builtin_offsetof(struct catnap_vcore_stats, served) == 40, "vcore_stats.served");
_Static_assert(__builtin_offsetof(struct catnap_vcore_stats, kicks) == 48, "vcore_stats.kicks");
_Static_assert(__builtin_offsetof(struct catnap_vcore_stats, run_tb) == 56, "vcore_stats.run_tb");
_Static_assert(__builtin_offsetof(struct catnap_vcore_stats, exits) == 64, "vcore_stats.exits");
_Static_assert((uint64_t)CATNAP_FLAG_FP == 0x1, "FLAG_FP");
_Static_assert((uint64_t)CATNAP_FLAGS == 0x1, "FLAGS");
_Static_assert((uint64_t)CATNAP_PENDING_EXTERNAL == 0x1, "PENDING_EXTERNAL");
_Static_assert((uint64_t)CATNAP_OWNED == 0x8000000000000000, "OWNED");
_Static_assert((uint64_t)CATNAP_MMCR0_FROZEN == 0x80000000, "MMCR0_FROZEN");
_Static_assert((uint64_t)CATNAP_MAGIC == 0x434e5650, "MAGIC");
_Static_assert((uint64_t)CATNAP_VERSION == 0x2, "VERSION");
_Static_assert((uint64_t)CATNAP_H_CEDE == 0xe0, "H_CEDE");
_Static_assert((uint64_t)CATNAP_H_CONFER == 0xe4, "H_CONFER");
_Static_assert((uint64_t)CATNAP_H_PROD == 0xe8, "H_PROD");
_Static_assert((uint64_t)CATNAP_LPCR_ILE == 0x2000000, "LPCR_ILE");
_Static_assert((uint64_t)CATNAP_LPCR_AIL_3 == 0x1800000, "LPCR_AIL_3");
_Static_assert((uint64_t)CATNAP_LPCR_DPFD == 0x70000000000000, "LPCR_DPFD");
_Static_assert((uint64_t)CATNAP_LPCR_TC == 0x200, "LPCR_TC");
_Static_assert((uint64_t)CATNAP_LPCR_ONL == 0x40000, "LPCR_ONL");
_Static_assert((uint64_t)CATNAP_LPCR_CHOICE == 0x70000003840200, "LPCR_CHOICE");
_Static_assert((uint64_t)CATNAP_FLAG_REFLECT == 0x1, "FLAG_REFLECT");
_Static_assert((uint64_t)CATNAP_FEATURE_RMOR == 0x1, "FEATURE_RMOR");
_Static_assert((uint64_t)CATNAP_FEATURE_VRMA == 0x2, "FEATURE_VRMA");
_Static_assert((uint64_t)CATNAP_FEATURE_LITTLE_ENDIAN == 0x4, "FEATURE_LITTLE_ENDIAN");
_Static_assert((uint64_t)CATNAP_FEATURE_PTID_ALIGNED == 0x8, "FEATURE_PTID_ALIGNED");
_Static_assert((uint64_t)CATNAP_FEATURE_EAGER == 0x10, "FEATURE_EAGER");
_Static_assert((uint64_t)CATNAP_FEATURE_CEDE == 0x20, "FEATURE_CEDE");
_Static_assert((uint64_t)CATNAP_FEATURE_STATS == 0x40, "FEATURE_STATS");
_Static_assert((uint64_t)CATNAP_FEATURE_TRACE == 0x80, "FEATURE_TRACE");
_Static_assert((uint64_t)CATNAP_FEATURE_L1D_FLUSH == 0x100, "FEATURE_L1D_FLUSH");
_Static_assert((uint64_t)CATNAP_FEATURE_LINK_STACK_FLUSH == 0x200, "FEATURE_LINK_STACK_FLUSH");
_Static_assert((uint64_t)CATNAP_FEATURE_REFLECT == 0x400, "FEATURE_REFLECT");
_Static_assert((uint64_t)CATNAP_FEATURE_TABLE == 0x800, "FEATURE_TABLE");
_Static_assert((uint64_t)CATNAP_PAGE_READ == 0x1, "PAGE_READ");
_Static_assert((uint64_t)CATNAP_PAGE_WRITE == 0x2, "PAGE_WRITE");
_Static_assert((uint64_t)CATNAP_PAGE_CHANGED == 0x4, "PAGE_CHANGED");
_Static_assert((uint64_t)CATNAP_MEMORY_LITTLE_ENDIAN == 0x1, "MEMORY_LITTLE_ENDIAN");
_Static_assert((uint64_t)CATNAP_RUN_KEEP_SLB == 0x1, "RUN_KEEP_SLB");
_Static_assert((uint64_t)CATNAP_RUN_FP_CLEAN == 0x2, "RUN_FP_CLEAN");
_Static_assert((uint64_t)CATNAP_RUN_UNTOUCHED == 0x4, "RUN_UNTOUCHED");
_Static_assert((uint64_t)CATNAP_RUN_SPRS_LOST == 0x8, "RUN_SPRS_LOST");
_Static_assert((uint64_t)CATNAP_RUN_FLAGS == 0xf, "RUN_FLAGS");
_Static_assert((uint64_t)CATNAP_SET_COMPLETE == 0x10000, "SET_COMPLETE");
_Static_assert((uint64_t)CATNAP_NO_DECREMENTER == 0xffffffffffffffff, "NO_DECREMENTER");
_Static_assert((uint64_t)CATNAP_KICK_GUEST == 0x8000000000000000, "KICK_GUEST");

#endif  /* CATNAP_H */
