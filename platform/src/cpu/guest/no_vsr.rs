//! The simulated machine has no floating-point, VMX or VSX registers.
use hcalls::VcpuPage;

/// # Safety
/// None is needed.
pub unsafe fn load(_page: *mut VcpuPage) {}

/// # Safety
/// None is needed.
pub unsafe fn save(_page: *mut VcpuPage) {}

/// # Safety
/// None is needed.
pub unsafe fn clear() {}

/// # Safety
/// None is needed.
pub unsafe fn normalize() {}
