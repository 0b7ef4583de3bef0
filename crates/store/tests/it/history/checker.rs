//! The judgement from lists and times; see the module above.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::{Anomaly, Kind, Op, Outcome, Record};

/// What a history that is possible was made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) committed: usize,
    pub(crate) aborted: usize,
    pub(crate) reads: usize,
    pub(crate) ww: usize,
    pub(crate) wr: usize,
    pub(crate) rw: usize,
}

/// Whether the history is possible under snapshot isolation. What a transaction has read counts also where it was rolled
/// back: until then it could not know.
pub(crate) fn check(history: &[Record]) -> Result<Summary, Anomaly> {
    let appends = Appends::of(history)?;
    let mut reads = Vec::new();
    for (txn, record) in history.iter().enumerate() {
        reads.extend(outer_reads(txn, record)?);
    }
    for read in &reads {
        appends.judge(history, read)?;
    }
    let orders = orders(&reads)?;
    let counted = appends.counted(history, &orders);
    let graph = Graph::build(history, &appends, &reads, &orders, &counted);
    if let Some(anomaly) = graph.forbidden_cycle(history) {
        return Err(anomaly);
    }
    let kinds = |kind| graph.edges.iter().flatten().filter(|(_, edge)| *edge == kind).count();
    Ok(Summary {
        committed: counted.iter().filter(|is_counted| **is_counted).count(),
        aborted: history.iter().filter(|record| record.outcome == Outcome::Aborted).count(),
        reads: reads.len(),
        ww: kinds(Edge::Ww),
        wr: kinds(Edge::Wr),
        rw: kinds(Edge::Rw),
    })
}

/// A list that a transaction has read, without its own elements.
struct Read<'h> {
    txn: usize,
    key: u32,
    list: &'h [u64],
}

/// The lists that come from others; an error where a transaction contradicts itself.
fn outer_reads(txn: usize, record: &Record) -> Result<Vec<Read<'_>>, Anomaly> {
    /// What is known of a key in a transaction: the list it found, and its own elements behind that.
    #[derive(Default)]
    struct Known<'h> {
        base: Option<&'h [u64]>,
        own: Vec<u64>,
    }
    let mut known: HashMap<u32, Known<'_>> = HashMap::new();
    let mut reads = Vec::new();
    for op in &record.ops {
        match op {
            Op::Append { key, element } => known.entry(*key).or_default().own.push(*element),
            Op::Read { key, list } => {
                let known = known.entry(*key).or_default();
                let base = list.strip_suffix(&known.own[..]);
                if base.is_none() || known.base.is_some_and(|before| Some(before) != base) {
                    let what = format!(
                        "T{txn} reads {list:?} of {key} after {:?} and its own {:?}",
                        known.base, known.own
                    );
                    return Err(Anomaly::new(Kind::Internal, what));
                }
                if known.base.is_none() {
                    known.base = base;
                    reads.push(Read { txn, key: *key, list: base.unwrap_or_default() });
                }
            }
        }
    }
    Ok(reads)
}

/// Who has appended what.
struct Appends {
    /// The key, the transaction, and whether it is the transaction's last for the key.
    by_element: HashMap<u64, (u32, usize, bool)>,
}

impl Appends {
    fn of(history: &[Record]) -> Result<Appends, Anomaly> {
        let mut by_element = HashMap::new();
        for (txn, record) in history.iter().enumerate() {
            let mut last: HashMap<u32, u64> = HashMap::new();
            for op in &record.ops {
                let Op::Append { key, element } = op else { continue };
                if by_element.insert(*element, (*key, txn, true)).is_some() {
                    return Err(Anomaly::new(Kind::Garbage, format!("{element} is appended twice")));
                }
                if let Some(before) =
                    last.insert(*key, *element).and_then(|before| by_element.get_mut(&before))
                {
                    before.2 = false;
                }
            }
        }
        Ok(Appends { by_element })
    }

    fn writer(&self, element: u64) -> usize {
        self.by_element[&element].1
    }

    /// A list consists of whole transactions that were not rolled back.
    fn judge(&self, history: &[Record], read: &Read<'_>) -> Result<(), Anomaly> {
        let Read { txn, key, list } = *read;
        let mut seen = HashSet::new();
        let is_known = |element: &u64| self.by_element.get(element).is_some_and(|(of, _, _)| *of == key);
        if let Some(element) = list.iter().find(|element| !is_known(element) || !seen.insert(**element)) {
            return Err(Anomaly::new(Kind::Garbage, format!("T{txn} reads {element} in {list:?} of {key}")));
        }
        for (place, element) in list.iter().enumerate() {
            let (_, writer, is_last) = self.by_element[element];
            if history[writer].outcome == Outcome::Aborted {
                let what = format!("T{txn} reads {element} of T{writer}, which was rolled back");
                return Err(Anomaly::new(Kind::AbortedRead, what));
            }
            let is_followed = list
                .get(place + 1)
                .is_some_and(|next| self.by_element.get(next).is_some_and(|(_, other, _)| *other == writer));
            if is_last == is_followed {
                let what =
                    format!("T{txn} reads {list:?} of {key}, where T{writer} is half done at {element}");
                return Err(Anomaly::new(Kind::IntermediateRead, what));
            }
        }
        Ok(())
    }

    /// Which transactions take part: those that are committed, and those of which somebody has read something.
    fn counted(&self, history: &[Record], orders: &BTreeMap<u32, &[u64]>) -> Vec<bool> {
        let mut counted: Vec<bool> =
            history.iter().map(|record| matches!(record.outcome, Outcome::Committed(_))).collect();
        for element in orders.values().flat_map(|order| order.iter()) {
            counted[self.writer(*element)] = true;
        }
        counted
    }
}

/// The longest list of each key; all others must be beginnings of it.
fn orders<'h>(reads: &[Read<'h>]) -> Result<BTreeMap<u32, &'h [u64]>, Anomaly> {
    let mut orders: BTreeMap<u32, &[u64]> = BTreeMap::new();
    for read in reads {
        let order = orders.entry(read.key).or_default();
        if read.list.len() > order.len() {
            *order = read.list;
        }
    }
    for read in reads {
        let order = orders[&read.key];
        if !order.starts_with(read.list) {
            let what = format!("key {} was {order:?}, and T{} reads {:?}", read.key, read.txn, read.list);
            return Err(Anomaly::new(Kind::LostUpdate, what));
        }
    }
    Ok(orders)
}

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    Ww,
    Wr,
    Rw,
    /// Of time: from a transaction to the tick of its end, from tick to tick, from a tick to who begins after it.
    Rt,
}

/// Transactions, behind them the ticks at which transactions ended.
struct Graph {
    txns: usize,
    edges: Vec<Vec<(usize, Edge)>>,
}

impl Graph {
    fn build(
        history: &[Record],
        appends: &Appends,
        reads: &[Read<'_>],
        orders: &BTreeMap<u32, &[u64]>,
        counted: &[bool],
    ) -> Graph {
        let mut graph = Graph { txns: history.len(), edges: vec![Vec::new(); history.len()] };
        for order in orders.values() {
            for pair in order.windows(2) {
                graph.add(appends.writer(pair[0]), appends.writer(pair[1]), Edge::Ww);
            }
        }
        let unread = unread(history, orders, counted);
        // What nobody has read comes behind what somebody has.
        for (key, writers) in &unread {
            if let Some(last) = orders.get(key).and_then(|order| order.last()) {
                writers.iter().for_each(|writer| graph.add(appends.writer(*last), *writer, Edge::Ww));
            }
        }
        for read in reads {
            if let Some(last) = read.list.last() {
                graph.add(appends.writer(*last), read.txn, Edge::Wr);
            }
            match orders[&read.key].get(read.list.len()) {
                Some(next) => graph.add(read.txn, appends.writer(*next), Edge::Rw),
                None => {
                    let writers = unread.get(&read.key).into_iter().flatten();
                    writers.for_each(|writer| graph.add(read.txn, *writer, Edge::Rw));
                }
            }
        }
        graph.add_time(history, counted);
        graph
    }

    fn add(&mut self, from: usize, to: usize, edge: Edge) {
        if from != to && !self.edges[from].contains(&(to, edge)) {
            self.edges[from].push((to, edge));
        }
    }

    fn add_time(&mut self, history: &[Record], counted: &[bool]) {
        let mut ends: Vec<(u64, usize)> = history
            .iter()
            .enumerate()
            // Of others it is not known when they took effect, nor does it matter.
            .filter(|(txn, record)| counted[*txn] && matches!(record.outcome, Outcome::Committed(_)))
            .map(|(txn, record)| (record.ended, txn))
            .collect();
        ends.sort_unstable();
        for (place, (_, txn)) in ends.iter().enumerate() {
            let tick = self.txns + place;
            self.edges.push(Vec::new());
            self.edges[*txn].push((tick, Edge::Rt));
            if place > 0 {
                self.edges[tick - 1].push((tick, Edge::Rt));
            }
        }
        for (txn, record) in history.iter().enumerate() {
            let over = ends.partition_point(|(ended, _)| *ended < record.began);
            if over > 0 {
                self.edges[self.txns + over - 1].push((txn, Edge::Rt));
            }
        }
    }

    /// A cycle in which no two rw edges follow each other. Each node is there twice, as reached by an rw edge or by
    /// another one; from the former no rw edge goes on.
    fn forbidden_cycle(&self, history: &[Record]) -> Option<Anomaly> {
        let count = self.edges.len();
        let next = |state: usize| {
            let (node, is_after_rw) = (state % count, state >= count);
            let edges = self.edges[node].iter().filter(move |(_, edge)| !(is_after_rw && *edge == Edge::Rw));
            edges.map(move |(to, edge)| if *edge == Edge::Rw { to + count } else { *to })
        };
        let component = components(2 * count, &next);
        let mut sizes = vec![0; 2 * count];
        component.iter().for_each(|&of| sizes[of] += 1);
        let start = (0..2 * count).filter(|&state| sizes[component[state]] > 1);
        // The shortest cycle tells most.
        let cycles = start.take(200).filter_map(|state| shortest_cycle(state, &component, &next));
        let cycle = cycles.min_by_key(Vec::len)?;
        let nodes: Vec<usize> = cycle.iter().map(|state| state % count).collect();
        Some(self.describe(history, &nodes, &cycle))
    }

    fn describe(&self, history: &[Record], nodes: &[usize], states: &[usize]) -> Anomaly {
        let count = self.edges.len();
        let (mut what, mut edges) = (String::new(), Vec::new());
        for (place, &from) in nodes.iter().enumerate() {
            let next = (place + 1) % nodes.len();
            let is_rw = states[next] >= count;
            let wanted = |(to, edge): &&(usize, Edge)| *to == nodes[next] && (*edge == Edge::Rw) == is_rw;
            let edge = self.edges[from].iter().find(wanted).map_or(Edge::Rt, |(_, edge)| *edge);
            edges.push(edge);
            if from < self.txns {
                let record = &history[from];
                what.push_str(&format!("\n  T{from} {:?} {:?}", record.outcome, record.ops));
            }
            if from < self.txns || edge != Edge::Rt {
                what.push_str(&format!("\n    {edge:?}"));
            }
        }
        let rws = edges.iter().filter(|edge| **edge == Edge::Rw).count();
        let has = |edge| edges.contains(&edge);
        let kind = match rws {
            _ if has(Edge::Rt) => Kind::StaleRead,
            0 if !has(Edge::Wr) => Kind::DirtyWrite,
            0 => Kind::CircularFlow,
            1 => Kind::ReadSkew,
            _ => Kind::LongFork,
        };
        Anomaly::new(kind, what)
    }
}

/// Committed writers of each key whose elements nobody has read.
fn unread(history: &[Record], orders: &BTreeMap<u32, &[u64]>, counted: &[bool]) -> BTreeMap<u32, Vec<usize>> {
    let read: HashSet<u64> = orders.values().flat_map(|order| order.iter().copied()).collect();
    let mut unread: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (txn, record) in history.iter().enumerate().filter(|(txn, _)| counted[*txn]) {
        for op in &record.ops {
            if let Op::Append { key, element } = op
                && !read.contains(element)
            {
                unread.entry(*key).or_default().push(txn);
            }
        }
    }
    unread
}

/// The strongly connected component of each node (Tarjan, SIAM J. Comput. 1(2), 1972, without recursion).
fn components<I: Iterator<Item = usize>>(count: usize, next: &impl Fn(usize) -> I) -> Vec<usize> {
    const UNSEEN: usize = usize::MAX;
    let (mut index, mut low) = (vec![UNSEEN; count], vec![0; count]);
    let (mut component, mut stack, mut seen) = (vec![UNSEEN; count], Vec::new(), 0);
    for root in 0..count {
        if index[root] != UNSEEN {
            continue;
        }
        let mut calls: Vec<(usize, Vec<usize>)> = Vec::new();
        let mut entered = Some(root);
        while entered.is_some() || !calls.is_empty() {
            if let Some(node) = entered.take() {
                (index[node], low[node]) = (seen, seen);
                seen += 1;
                stack.push(node);
                calls.push((node, next(node).collect()));
            }
            let (node, left) = calls.last_mut().expect("the loop runs while there are calls");
            let node = *node;
            match left.pop() {
                Some(to) if index[to] == UNSEEN => entered = Some(to),
                Some(to) if component[to] == UNSEEN => low[node] = low[node].min(index[to]),
                Some(_) => {}
                None => {
                    calls.pop();
                    if let Some((caller, _)) = calls.last() {
                        low[*caller] = low[*caller].min(low[node]);
                    }
                    if low[node] == index[node] {
                        while let Some(member) = stack.pop() {
                            component[member] = node;
                            if member == node {
                                break;
                            }
                        }
                    }
                }
            }
        }
    }
    component
}

/// The shortest way from a node back to it inside of its component.
fn shortest_cycle<I: Iterator<Item = usize>>(
    start: usize,
    component: &[usize],
    next: &impl Fn(usize) -> I,
) -> Option<Vec<usize>> {
    let mut came_from: HashMap<usize, usize> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for to in next(node).filter(|to| component[*to] == component[start]) {
            if to == start {
                let mut way = vec![node];
                let mut at = node;
                while at != start {
                    at = came_from[&at];
                    way.push(at);
                }
                way.reverse();
                return Some(way);
            }
            came_from.entry(to).or_insert_with(|| {
                queue.push_back(to);
                node
            });
        }
    }
    None
}
