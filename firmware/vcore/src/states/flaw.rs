//! Ways to break the protocol.

/// One fault, in the place of the right step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A thread enters although others leave.
    EnterUnchecked,
    /// A thread enters although the run isn't open.
    EnterUncalled,
    /// A vcpu naps although it was prodded.
    CedeUnchecked,
    /// A prod that comes while the vcpu leaves is forgotten.
    ProdForgotten,
    /// A thread that takes an IPI for somebody's call reports without it.
    ReportUncalled,
    /// The presenter is polled after the look at who has called.
    LookBeforePoll,
    /// The first to leave doesn't expire the hypervisor decrementer.
    NoPull,
    /// The first to leave expires it before it sets its exit bit.
    PullBeforeLeave,
    /// Who sets the hypervisor decrementer again doesn't look for leavers afterwards.
    NoLookAfterTick,
    /// The first to leave sends the napping siblings no IPI.
    NoIpiToCeded,
    /// Who has prodded a napping vcpu sends no IPI.
    NoIpiForProd,
    /// The runner doesn't look for kicks once the word is open.
    NoLookAtOpen,
    /// The runner looks, but sends no IPI.
    NoIpiAtOpen,
    /// The runner opens the word before letters and core are written.
    OpenBeforeAssign,
    /// The runner doesn't wait for threads that haven't entered.
    WaitForEnteredOnly,
    /// A run begins while the vcore runs elsewhere.
    BeginTwice,
    /// A run begins while somebody joins the last one.
    BeginWhileJoining,
    /// Kicked vcpus are told when their vcore can run again already.
    TellAfterEnd,
    /// A kick isn't followed by a request.
    KickWithoutRequest,
    /// A joiner reads which core runs the vcore before the word is open.
    CoreBeforeOpen,
    /// A joiner is sent its IPI before its letter is written.
    IpiBeforeLetter,
    /// A joiner doesn't mind a kick that came before it.
    JoinThoughKicked,
    /// A joiner in packed mode takes the highest free thread.
    HighestThread,
}

/// All of them.
pub const FLAWS: [Flaw; 23] = [
    Flaw::EnterUnchecked,
    Flaw::EnterUncalled,
    Flaw::CedeUnchecked,
    Flaw::ProdForgotten,
    Flaw::ReportUncalled,
    Flaw::LookBeforePoll,
    Flaw::NoPull,
    Flaw::PullBeforeLeave,
    Flaw::NoIpiToCeded,
    Flaw::NoIpiForProd,
    Flaw::NoLookAtOpen,
    Flaw::NoIpiAtOpen,
    Flaw::OpenBeforeAssign,
    Flaw::WaitForEnteredOnly,
    Flaw::BeginTwice,
    Flaw::TellAfterEnd,
    Flaw::KickWithoutRequest,
    Flaw::CoreBeforeOpen,
    Flaw::IpiBeforeLetter,
    Flaw::HighestThread,
    Flaw::NoLookAfterTick,
    Flaw::BeginWhileJoining,
    Flaw::JoinThoughKicked,
];
