//! The VMs of a fake Envoy: what each has of its own.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::host::Vm;

use super::calls::Calls;
use super::contexts::Contexts;
use super::expressions::Expressions;
use super::numbered::Numbered;
use super::process::Process;
use super::value::Value;

/// One VM in a fake Envoy.
#[derive(Debug)]
pub struct FakeHost {
    pub(super) process: Rc<RefCell<Process>>,
    /// Which module it runs.
    pub(super) module: u32,
    pub(super) configuration: RefCell<Vec<u8>>,
    pub(super) tick_period: Cell<Option<Duration>>,
    pub(super) contexts: RefCell<Contexts>,
    pub(super) expressions: RefCell<Expressions>,
    /// Lists of attributes.
    pub(super) lists: RefCell<Numbered<Vec<&'static [&'static str]>>>,
    /// Metrics of the process, by the ids that this VM was given.
    pub(super) metrics: RefCell<Numbered<usize>>,
    pub(super) calls: RefCell<Calls>,
    /// What its root contexts agree on.
    pub(super) shared_by_roots: Rc<Vm>,
    /// Whether it is no VM, but a module in the host's own process.
    pub(super) is_near: bool,
}

// === impl FakeHost ===

impl Default for FakeHost {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeHost {
    /// An Envoy with one VM, being configured, that knows nothing of itself.
    pub fn new() -> Self {
        Self::in_process(Rc::new(RefCell::new(Process::new())), Value::default())
    }

    /// The same without a VM, a module in the host's own process.
    pub fn near() -> Self {
        Self { is_near: true, ..Self::new() }
    }

    /// Another VM of the same process: a worker. It has its own streams and
    /// metric ids; metrics, shared data and log are the process's.
    pub fn another_vm(&self) -> Self {
        let attributes = self.contexts.borrow().attributes.clone();
        Self {
            module: self.module,
            configuration: self.configuration.clone(),
            ..Self::in_process(Rc::clone(&self.process), attributes)
        }
    }

    /// A VM that runs the next module, of which the process had none yet.
    pub fn vm_of_next_module(&self) -> Self {
        Self { module: self.module.saturating_add(1), ..self.another_vm() }
    }

    /// The last VM goes that runs this module.
    pub fn unload(&self) {
        self.process.borrow_mut().unload(self.module);
    }

    fn in_process(process: Rc<RefCell<Process>>, attributes: Value) -> Self {
        Self {
            process,
            module: 0,
            configuration: RefCell::default(),
            tick_period: Cell::default(),
            contexts: RefCell::new(Contexts::new(attributes)),
            expressions: RefCell::default(),
            lists: RefCell::default(),
            metrics: RefCell::default(),
            calls: RefCell::default(),
            shared_by_roots: Rc::default(),
            is_near: false,
        }
    }
}
