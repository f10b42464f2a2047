//! What a stage is to start, and how its processes reach their servers.

use std::path::PathBuf;

use crate::mutation::Mutation;

/// What a process of the fleet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Api,
    Worker,
    Scheduler,
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Plan {
    pub apis: usize,
    pub workers: usize,
    pub schedulers: usize,
    /// Jobs that a worker runs at once.
    pub slots: usize,
    /// Who reaches the database over a wire in our hand.
    pub database_wires: Vec<Role>,
    /// Who reaches Redis over a wire in our hand.
    pub redis_wires: Vec<Role>,
    /// A bug, seeded on the wire to the database.
    pub mutation: Option<&'static Mutation>,
    /// More variables for processes of a role.
    pub variables: Vec<(Role, String, String)>,
    /// Variables of the first worker, the second, and so on.
    pub worker_variables: Vec<Vec<(String, String)>>,
    /// Start the workers through this program, with these arguments before the binary.
    pub worker_wrapper: Vec<String>,
    /// Folder for the database's files, where it is not the usual one.
    pub tablespace: Option<PathBuf>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            apis: 1,
            workers: 2,
            schedulers: 1,
            slots: 4,
            database_wires: Vec::new(),
            redis_wires: Vec::new(),
            mutation: None,
            variables: Vec::new(),
            worker_variables: Vec::new(),
            worker_wrapper: Vec::new(),
            tablespace: None,
        }
    }
}
