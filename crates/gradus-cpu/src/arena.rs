//! Memory aligned to cache lines.

use crate::real::Real;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Zeroed floats that never move.
pub(crate) struct Arena<T> {
    at: NonNull<T>,
    len: usize,
}

// Only plain numbers behind an owned pointer.
unsafe impl<T: Real> Send for Arena<T> {}
unsafe impl<T: Real> Sync for Arena<T> {}

impl<T> Arena<T> {
    /// `None` where there is not so much memory.
    pub fn new(len: usize) -> Option<Arena<T>> {
        let layout = Arena::<T>::layout(len)?;
        // SAFETY: the layout's size is not zero.
        let at = NonNull::new(unsafe { alloc_zeroed(layout) }.cast::<T>())?;
        Some(Arena { at, len })
    }

    fn layout(len: usize) -> Option<Layout> {
        Layout::from_size_align(len.max(1).checked_mul(size_of::<T>())?, 64).ok()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn as_ptr(&self) -> *mut T {
        self.at.as_ptr()
    }
}

impl<T> Drop for Arena<T> {
    fn drop(&mut self) {
        if let Some(layout) = Arena::<T>::layout(self.len) {
            // SAFETY: allocated in `new` with the same layout.
            unsafe { dealloc(self.at.as_ptr().cast(), layout) }
        }
    }
}
