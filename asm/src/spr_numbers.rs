//! Special-purpose register numbers (Power ISA 2.07 Book III-S 5.4.4; POWER8 User's Manual for
//! those the ISA leaves to the implementation).

macro_rules! sprs {
    ($($name:ident = $number:literal $(: $doc:literal)?;)+) => {
        $($(#[doc = $doc])? pub const $name: u16 = $number;)+

        /// Names and numbers of all registers here.
        pub const ALL: &[(&str, u16)] = &[$((stringify!($name), $number)),+];
    };
}
sprs! {
    XER = 1;
    DSCR = 17;
    DSISR = 18;
    DAR = 19;
    DEC = 22;
    SDR1 = 25;
    SRR0 = 26;
    SRR1 = 27;
    CFAR = 28;
    AMR = 29;
    ACOP = 31;
    PID = 48;
    IAMR = 61;
    TFHAR = 128;
    TFIAR = 129;
    TEXASR = 130;
    CTRL_READ = 136;
    CTRL_WRITE = 152;
    FSCR = 153;
    UAMOR = 157;
    PSPB = 159;
    DPDES = 176;
    DAWR = 180;
    CIABR = 187;
    DAWRX = 188;
    HFSCR = 190;
    VRSAVE = 256;
    TB = 268;
    SPRG0 = 272;
    SPRG1 = 273;
    SPRG2 = 274;
    SPRG3 = 275;
    TBU40 = 286;
    EAR = 282;
    PVR = 287;
    HSPRG0 = 304: "The thread area while the thread is the firmware's.";
    HSPRG1 = 305: "Scratch of the interrupt stubs.";
    HDSISR = 306;
    HDAR = 307;
    HDEC = 310: "Shared by the core's threads.";
    RMOR = 312;
    HRMOR = 313: "Shared by the core's threads.";
    HSRR0 = 314;
    HSRR1 = 315;
    LPCR = 318;
    LPIDR = 319;
    HMER = 336;
    HMEER = 337;
    PCR = 338;
    HEIR = 339;
    AMOR = 349;
    TFMR = 445: "Guards the time base; shared by the core's threads.";
    TIR = 446;
    USIER = 768;
    SIER = 784;
    MMCR2 = 785;
    MMCRA = 786;
    PMC1 = 787;
    PMC2 = 788;
    PMC3 = 789;
    PMC4 = 790;
    PMC5 = 791;
    PMC6 = 792;
    MMCR0 = 795;
    SIAR = 796;
    SDAR = 797;
    MMCR1 = 798;
    BESCRS = 800;
    BESCRR = 802;
    EBBHR = 804;
    EBBRR = 805;
    BESCR = 806;
    TAR = 815;
    IC = 848;
    VTB = 849;
    TACR = 888;
    TCSCR = 889;
    CSIGR = 890;
    SPMC1 = 892;
    SPMC2 = 893;
    MMCRS = 894;
    WORT = 895;
    PPR = 896;
    HID0 = 1008: "Shared by the core's threads.";
    PIR = 1023;
}

/// HID0: `attn` stops the thread and tells the service processor, instead of being an error.
pub const HID0_ATTN: u64 = crate::ibm(31);
/// HID0: interrupts to the hypervisor are taken little-endian.
pub const HID0_HILE: u64 = crate::ibm(19);

/// HFSCR: facilities that a guest may use (Power ISA 2.07 Book III-S 6.2.10).
pub mod hfscr {
    use crate::ibm;

    pub const FP: u64 = ibm(63);
    /// VMX and VSX.
    pub const VECVSX: u64 = ibm(62);
    pub const DSCR: u64 = ibm(61);
    /// The performance monitor.
    pub const PM: u64 = ibm(60);
    pub const BHRB: u64 = ibm(59);
    pub const TM: u64 = ibm(58);
    pub const EBB: u64 = ibm(56);
    pub const TAR: u64 = ibm(55);
    /// `msgsndp`, `msgclrp`, DPDES.
    pub const MSGP: u64 = ibm(53);
}

/// LPCR fields (Power ISA 2.07 Book III-S 2.2).
pub mod lpcr {
    use crate::{ibm, ibm_field};

    /// Data accesses of a guest in real mode go through the virtual real mode area.
    pub const VPM0: u64 = ibm(0);
    /// A guest's page faults go to the hypervisor.
    pub const VPM1: u64 = ibm(1);
    pub const VRMASD: u64 = ibm_field(12, 16);
    pub const VRMASD_SHIFT: u32 = 63 - 16;
    pub const RMLS_SHIFT: u32 = 63 - 37;
    pub const ILE: u64 = ibm(38);
    /// What may wake a napping thread: doorbells, hypervisor doorbells, externals, decrementer.
    pub const PECE_DOORBELL: u64 = ibm(47);
    pub const PECE_HV_DOORBELL: u64 = ibm(48);
    pub const PECE_EXTERNAL: u64 = ibm(49);
    pub const PECE_DECREMENTER: u64 = ibm(50);
    /// Mediated external exception: 0x500 as soon as the guest's MSR\[EE\] is on.
    pub const MER: u64 = ibm(52);
    /// Externals go to the guest itself, not to the hypervisor.
    pub const LPES0: u64 = ibm(60);
    /// The hypervisor decrementer interrupts a guest.
    pub const HDICE: u64 = ibm(63);
}
