//! Maps vertices and multicast nets onto a machine of SpiNNaker's kind: chips in a triangular mesh or torus, packets that carry
//! only a key, and a small ordered table of ternary entries in every router.
//!
//! The idea: nets with the same sinks are one *class*. A class has one tree, used in all directions by all its sources, so a
//! router sees as many different routes as the tree has branches there, not one per source. Keys follow the tree: each branch is
//! an aligned block, so a route costs about one entry. [`map`] runs the stages; [`minimize`] and [`check`] stand by themselves.
//!
//! **Invariant:** a [`Mapping`] delivers every net to exactly its sinks; [`check`], which shares no code with the stages, walks
//! the packets through the tables and says so.

mod check;
mod classes;
mod exchange;
mod keys;
mod machine;
mod map;
mod minimize;
mod pack;
mod place;
mod prefix;
mod problem;
mod refine;
mod route;
mod table;
mod ternary;

pub use check::{Walk, check};
pub use machine::{ChipResources, LINKS, Machine};
pub use map::{Mapping, Options, map};
pub use minimize::{equivalent, minimize};
pub use problem::{Net, Problem, Vertex};
pub use table::{Entry, KeyBlock, Route, Table};
