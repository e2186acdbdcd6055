//! Talking to Python's resource tracker.

use super::tracker::{Action, MessageForm, message};
use crate::error::{Error, ErrorKind, Result};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

/// The write end of a Python resource tracker's pipe.
///
/// The tracker is a process that a Python program starts; when all write ends of its pipe are closed, it removes every
/// name that is still registered. A child of that program may inherit a write end (`resource_tracker.getfd()`, handed on
/// with `pass_fds`), and so register what it creates: then the name ends with the family of processes, however they end.
///
/// Whatever two processes register is one entry, so that the first one to unregister it ends the protection of both.
#[derive(Debug)]
pub struct ResourceTracker {
    pipe: File,
    form: MessageForm,
}

impl ResourceTracker {
    /// The tracker behind this descriptor. [`MessageForm::Simple`] is understood by every CPython but 3.13.10 and 3.14.1,
    /// which want [`MessageForm::Json`].
    #[must_use]
    pub fn new(pipe: OwnedFd, form: MessageForm) -> Self {
        Self { pipe: File::from(pipe), form }
    }

    pub(super) fn send(&self, action: Action, name: &str) -> Result<()> {
        if self.form == MessageForm::Simple && MessageForm::fitting(name) == MessageForm::Json {
            let reason =
                "the simple form cannot say this name; use `MessageForm::Json` if the tracker's Python reads it";
            return Err(Error::new(ErrorKind::InvalidOptions { reason: reason.to_owned() }).on(name));
        }
        let bytes = message(action, name, self.form)
            .map_err(|error| Error::new(ErrorKind::InvalidOptions { reason: error.to_string() }).on(name))?;
        // One write of at most PIPE_BUF bytes: messages of several processes do not mix (pipe(7)).
        (&self.pipe).write_all(&bytes).map_err(|error| {
            let errno = error.raw_os_error().unwrap_or_default();
            Error::new(ErrorKind::Os { operation: "write to the resource tracker", errno }).caused_by(error)
        })
    }
}
