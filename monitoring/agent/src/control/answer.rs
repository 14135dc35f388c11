//! Executes commands and replies to them.

use core::fmt;

use super::command::{Command, CommandError, Help, Query};
use super::listing::{Listing, Which};
use super::profiler;
use super::reply::Reply;
use super::status::Status;
use super::switches::{Switch, Switches};
use crate::trace::Profiler;
use logging::{Table, Unknown};
use metrics::{Plan, Registry, SwitchError};

/// The parts of the image that commands read and change.
#[derive(Clone, Copy)]
pub struct Managed<'m> {
    /// The metrics sources and their switches.
    pub registry: &'m Registry,
    /// The log sources and their levels.
    pub log: &'m Table,
    /// Returns the status. Only the command that reports it calls this.
    pub status: &'m dyn Fn() -> Status,
    /// The heap profiler, if there is one.
    pub profiler: Option<&'m dyn Profiler>,
}

impl fmt::Debug for Managed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Managed").finish_non_exhaustive()
    }
}

/// Executes a command, all of it or nothing, and begins the reply. Cost: each item of the command is compared with
/// every source.
pub fn answer(
    command: Result<Command<'_>, CommandError<'_>>,
    managed: &Managed<'_>,
    reply: &mut Reply<'_>,
) {
    let Managed { registry, log, .. } = *managed;
    match command {
        Ok(Command::Help) => reply.set(format_args!("ok: {Help}")),
        Ok(Command::Status) => reply.set(format_args!("ok: {}", (managed.status)())),
        Ok(Command::Sources) => reply.begin(format_args!("ok: "), Listing::sources()),
        Ok(Command::Levels(query)) => {
            let default = log.default_level();
            list(
                reply,
                query,
                &default,
                |name| log.has(name),
                Listing::levels,
            );
        }
        Ok(Command::Metrics(query)) => {
            let default = if registry.all() {
                "enabled"
            } else {
                "disabled"
            };
            let has = |name: &str| registry.find(name).is_some();
            list(reply, query, &default, has, Listing::metrics);
        }
        Ok(Command::Trace) => profiler::tell_state(managed.profiler, reply),
        Ok(Command::Heap) => profiler::tell_top(managed.profiler, reply),
        Ok(Command::SetRate(rate)) => {
            done(
                reply,
                profiler::of(managed.profiler).and_then(|it| it.set_rate(rate)),
            );
        }
        Ok(Command::StopTrace) => {
            done(
                reply,
                profiler::of(managed.profiler).and_then(|it| it.stop()),
            );
        }
        Ok(Command::SetLevels(levels)) => done(reply, log.apply(&levels, Unknown::Refuse)),
        Ok(Command::SetMetrics(switches)) => done(reply, switch(registry, &switches)),
        Err(error) => reply.set_error(&error),
    }
}

fn list(
    reply: &mut Reply<'_>,
    query: Query<'_>,
    default: &dyn fmt::Display,
    has: impl Fn(&str) -> bool,
    listing: fn(Which) -> Listing,
) {
    let listing = listing(query.which());
    let Query::Named(names) = query else {
        return reply.begin(format_args!("ok: *:{default}"), listing);
    };
    match names.split(',').find(|name| !has(name)) {
        Some(name) => reply.set_error(&SwitchError::UnknownSource(name)),
        None => reply.begin(format_args!("ok: "), listing),
    }
}

fn done<E: fmt::Display>(reply: &mut Reply<'_>, result: Result<(), E>) {
    match result {
        Ok(()) => reply.set(format_args!("ok")),
        Err(error) => reply.set_error(&error),
    }
}

fn switch<'a>(registry: &Registry, switches: &Switches<'a>) -> Result<(), SwitchError<'a>> {
    let mut plan = Plan::new();
    for switch in switches.iter() {
        match switch {
            Switch::All(on) => plan.all(on),
            Switch::Tag(name, on) => plan.tag(registry, name, on)?,
            Switch::Source(name, on) => plan.source(registry, name, on)?,
        }
    }
    registry.apply(&plan)
}
