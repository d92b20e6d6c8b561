//! When packets arrive on a network of links, down to the picosecond: occupied links, waiting, back-pressure, stalled sources,
//! drops and re-sending. It knows no chip; who uses it says what a link, a source and a sink is.
//!
//! The idea: a network is directed [`Link`]s between places that the routes alone know. A packet follows a tree of [`Routes`]; a
//! path is a tree without forks. A link takes one packet at a time, for [`Link::occupancy_ps`], delivers it [`Link::latency_ps`]
//! after it took it, and holds it at its far end in one of [`Link::slots`] until *every* branch there has taken it. Only the first
//! packet at a far end asks for its branches. A link takes a packet if it is free and a slot at its far end is; who asked first goes
//! first. So a full sink blocks what leads to it, up to the sources. With [`Link::timeout_ps`] a packet gives up branches that have
//! not taken it by then: they are *dropped*, and re-sent from there by a [`Resender`] with finite memory, or *lost*.
//! A [`Sink`] serves packets one after the other, each for the time that comes with it.
//!
//! [`Engine`] is the network alone: who uses it injects packets when it likes, and is told what happens, event by event. [`Simulator`]
//! runs a list of messages whose times are known.
//!
//! [`flit`] is a finer model of meshes alone: routers with virtual channels and credits, cycle by cycle.
//!
//! **Invariant:** each copy of a packet is delivered once, lost once, or stuck (a deadlock, which only routes with cycles and no
//! timeout have). Events of the same time go by kind, source, number of the message and branch, so nothing depends on the order in
//! which the input lists messages of different sources. All times are integer picoseconds.

mod engine;
mod events;
pub mod flit;
mod network;
mod routes;
mod simulator;

pub use engine::{Engine, Happening, LinkUse, Packet, ResenderUse, SinkUse, Target};
pub use network::{FOREVER, Link, NONE, Network, Resender, Sink, Source};
pub use routes::{Branch, Leaf, Routes, TreeId};
pub use simulator::{Message, NEVER, Outcome, Simulator};
