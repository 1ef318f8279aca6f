//! Which back end serves an operation: the kernels of this crate, or libtorch's
//! operators.

use std::cell::Cell;

use tch::Device;

thread_local! {
    static PORTABLE: Cell<bool> = const { Cell::new(false) };
}

/// Whether the operations of [`layers`](crate::layers), [`scores`](crate::scores)
/// and [`attention`](crate::attention) run kernels for tensors of the device.
/// Elsewhere, and under [`with_portable`], they run libtorch's operators.
pub fn has_kernels(device: Device) -> bool {
    device == Device::Cpu && !PORTABLE.get()
}

/// Runs the body with the portable operations on the CPU too, for calls of this
/// thread: what tests compare the kernels with.
pub fn with_portable<R>(run: impl FnOnce() -> R) -> R {
    /// Puts back what was there, also when the body panics.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            PORTABLE.set(self.0);
        }
    }
    let _before = Before(PORTABLE.replace(true));
    run()
}
