//! What is to be mapped: vertices of one core each, and the multicast nets between them.

/// Work for one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vertex {
    /// Shared memory it needs, bytes.
    pub sdram_bytes: u64,
    /// The population it belongs to; vertices of one population are kept together where that costs nothing.
    pub population: u32,
    /// The chip `(x, y)` on which it must be.
    pub pinned: Option<(u32, u32)>,
}

/// One source of packets. Its sinks are in [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    /// The sending vertex.
    pub source: u32,
    /// Different keys it sends; its key block is the next power of two.
    pub atoms: u32,
    /// Packets, for the cost of its links. Zero counts as nothing.
    pub weight: u32,
}

/// Vertices and nets.
#[derive(Clone, Debug, Default)]
pub struct Problem {
    pub(crate) vertices: Vec<Vertex>,
    pub(crate) nets: Vec<Net>,
    /// Shape: nets + 1.
    pub(crate) sink_start: Vec<usize>,
    pub(crate) sinks: Vec<u32>,
}

impl Problem {
    /// A problem of these vertices, without nets.
    pub fn new(vertices: Vec<Vertex>) -> Self {
        Self { vertices, nets: Vec::new(), sink_start: vec![0], sinks: Vec::new() }
    }

    /// Adds a net to the vertices `sinks`; repeated ones count once. Returns its number.
    pub fn add_net(&mut self, net: Net, sinks: impl IntoIterator<Item = u32>) -> usize {
        let first = self.sinks.len();
        self.sinks.extend(sinks);
        if !self.sinks[first..].is_sorted_by(|a, b| a < b) {
            let mut own = self.sinks.split_off(first);
            own.sort_unstable();
            own.dedup();
            self.sinks.extend(own);
        }
        self.sink_start.push(self.sinks.len());
        self.nets.push(net);
        self.nets.len() - 1
    }

    /// The vertices.
    pub fn vertices(&self) -> &[Vertex] {
        &self.vertices
    }

    /// The nets.
    pub fn nets(&self) -> &[Net] {
        &self.nets
    }

    /// The sinks of a net, ascending, without repeats.
    pub fn sinks(&self, net: usize) -> &[u32] {
        &self.sinks[self.sink_start[net]..self.sink_start[net + 1]]
    }
}
