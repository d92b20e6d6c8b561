//! Integers that a network brings along.
