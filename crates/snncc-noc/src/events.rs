//! The queue of what is going to happen.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An event. Those of the same time go by `order`, then `node`; the handle never decides, since no two are equal but for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Event {
    pub(crate) time_ps: u64,
    /// Class in the top two bits; then source (30 bits) and message, or kind and index.
    order: u64,
    /// Node of the tree.
    pub(crate) node: u32,
    /// Token.
    pub(crate) handle: u32,
}

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A link can take a packet again.
    LinkFree(u32),
    /// A sink is done with a packet.
    SinkFree(u32),
    /// A resender is ready to send.
    Resend(u32),
    /// A packet is at the far end of a link.
    Arrive,
    /// A packet has waited long enough.
    GiveUp,
}

const CLASS: u32 = 62;
const INDEXED: u32 = 32;

/// What orders packets: source, then number of the message.
pub(crate) fn packet_order(source: u32, message: u32) -> u64 {
    u64::from(source) << 32 | u64::from(message)
}

impl Event {
    /// An event of a link, sink or resender.
    pub(crate) fn of_place(time_ps: u64, kind: Kind) -> Self {
        let order = match kind {
            Kind::LinkFree(link) => u64::from(link),
            Kind::SinkFree(sink) => 1 << INDEXED | u64::from(sink),
            Kind::Resend(resender) => 2 << INDEXED | u64::from(resender),
            Kind::Arrive | Kind::GiveUp => unreachable!("bug in snncc: an event without its packet"),
        };
        Self { time_ps, order, node: 0, handle: 0 }
    }

    /// An event of a packet.
    pub(crate) fn of_packet(time_ps: u64, gives_up: bool, packet: u64, node: u32, handle: u32) -> Self {
        let class = if gives_up { 2 } else { 1 };
        Self { time_ps, order: class << CLASS | packet, node, handle }
    }

    pub(crate) fn kind(&self) -> Kind {
        let index = self.order as u32;
        match (self.order >> CLASS, self.order >> INDEXED) {
            (0, 0) => Kind::LinkFree(index),
            (0, 1) => Kind::SinkFree(index),
            (0, _) => Kind::Resend(index),
            (1, _) => Kind::Arrive,
            _ => Kind::GiveUp,
        }
    }

    /// Order of the packet that the event is of.
    pub(crate) fn packet(&self) -> u64 {
        self.order & ((1 << CLASS) - 1)
    }
}

/// Events by time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events {
    heap: BinaryHeap<Reverse<Event>>,
}

impl Events {
    pub(crate) fn clear(&mut self) {
        self.heap.clear();
    }

    pub(crate) fn push(&mut self, event: Event) {
        self.heap.push(Reverse(event));
    }

    /// The next event, if it is not after `limit_ps`.
    pub(crate) fn pop(&mut self, limit_ps: u64) -> Option<Event> {
        let next = self.heap.peek_mut()?;
        (next.0.time_ps <= limit_ps).then(|| std::collections::binary_heap::PeekMut::pop(next).0)
    }

    pub(crate) fn next_ps(&self) -> Option<u64> {
        self.heap.peek().map(|event| event.0.time_ps)
    }
}
