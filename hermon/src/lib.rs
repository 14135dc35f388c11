//! The host's side of Hermit monitoring: the tool `hermon`, and what its boot tests share with it.
//!
//! | module | what it is |
//! |---|---|
//! | [`qemu`] | a virtual machine described, and its QEMU command line: a pure function |
//! | [`append`] | the guest's kernel command line: quoting and its limit |
//! | [`guest`] | a QEMU process: its console line by line, how it ended, killed when dropped |
//! | [`offspring`] | a child process that never outlives this one |
//! | [`ending`] | a signal ends the tool and its guest, whatever else goes on |
//! | [`ports`] | the host's ports of a run: all different, all free |
//! | [`tsc`] | the frequency of the time stamp counter, which a guest under TCG needs to be told |
//! | [`probe`] | does KVM run this image here, found out by booting it |
//! | [`application`] | what the tool must know of the application's arguments |
//! | [`split`] | bytes into lines, in bounded memory |
//! | [`judge`] | is a line the Influx line protocol |
//! | [`receive`] | line protocol over UDP and TCP from one port |
//! | [`tally`] | what has arrived and what was lost |
//! | [`dropped`] | datagrams that the system dropped |
//! | [`point`] | a line of the protocol as a value |
//! | [`meaning`] | what a field means: unit, whether it counts, whether it tells a loss |
//! | [`store`] | recent points in bounded memory |
//! | [`database`], [`recorder`] | points in a file that survives restarts, and the thread that writes it |
//! | [`live`] | what has come so far, shared by all who show it |
//! | [`format`](mod@format) | numbers for people |
//! | [`show`] | lines in a terminal |
//! | [`view`] | the terminal view |
//! | [`web`] | the page: live charts, switches, log levels, the heap profile |
//! | [`taker`] | heap traces for the page, taken on a thread of its own |
//! | [`control`] | the image's control port, asked |
//! | [`profile`] | a heap profile as a tree of frames, from whoever supplies one |
//! | [`desk`] | where all that a session hears comes together |
//! | [`amount`], [`clock`] | durations and sizes of the command line; the wall clock |
//! | [`watch`], [`run`] | the subcommands that receive and boot |
//! | [`trace`], [`report`], [`convert`] | the subcommands that take a heap trace, say what is in it, and write it for other tools |
//! | [`ctl`] | the subcommand that talks to a control port |
//! | [`manual`] | manual pages and completions, made from the command line's description |
//! | [`cli`] | their command line and exit codes |
#![deny(unsafe_code)]

pub mod amount;
pub mod append;
pub mod application;
pub mod cli;
pub mod clock;
pub mod control;
pub mod convert;
pub mod ctl;
pub mod database;
pub mod desk;
pub mod dropped;
pub mod ending;
pub mod format;
pub mod guest;
pub mod judge;
pub mod live;
pub mod manual;
pub mod meaning;
pub mod offspring;
pub mod point;
pub mod ports;
pub mod probe;
pub mod profile;
pub mod qemu;
pub mod receive;
pub mod recorder;
pub mod report;
pub mod run;
pub mod show;
pub mod split;
pub mod store;
pub mod taker;
pub mod tally;
pub mod trace;
pub mod tsc;
pub mod view;
pub mod watch;
pub mod web;
