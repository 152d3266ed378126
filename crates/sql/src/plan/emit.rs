//! From our plan to the graph that the engine runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use thalweg_core::time::Millis;
use thalweg_stream::aggregate::AggregateCall;
use thalweg_stream::graph::{
    Edge, Exchange, Graph, GroupAggregate, Node, NodeId, Operator, SourceNode, WatermarkSpec,
    WindowAggregate,
};
use thalweg_stream::table::TableSpec;
use thalweg_stream::window::WindowTime;
use xxhash_rust::xxh3::xxh3_64;

use super::rel::{Rel, RelCall, RelNode, RelTime, Scan};
use crate::error::{Result, SqlError};
use crate::expr::compiled::to_expression;
use crate::expr::{TimeAttribute, TypedExpr};
use crate::settings::Settings;

/// Writes plans into one graph.
pub(crate) struct Emitter<'a> {
    graph: Graph,
    settings: &'a Settings,
    /// How often a uid was wanted.
    uids: BTreeMap<String, usize>,
    /// Steps that are there already, by what they do: plans of a statement set share them.
    shared: BTreeMap<String, NodeId>,
}

/// Where the rows of a plan end.
pub(crate) enum Target {
    /// A table.
    Table(TableSpec),
    /// A view and its key.
    View(String),
}

/// A step that was written.
struct Written {
    node: NodeId,
    /// What it does, with all that it reads: equal texts are equal steps.
    text: String,
}

impl<'a> Emitter<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Self {
        Self { graph: Graph::default(), settings, uids: BTreeMap::new(), shared: BTreeMap::new() }
    }

    pub(crate) fn finish(self) -> Graph {
        self.graph
    }

    /// Writes a plan and its target.
    ///
    /// # Errors
    /// Expressions that cannot be compiled, a defect.
    pub(crate) fn write(&mut self, rel: &Rel, target: Target, update_before: bool) -> Result<()> {
        let written = self.rel(rel, update_before)?;
        let key = rel.key.clone().unwrap_or_default();
        let (operator, name, schema, exchange) = match target {
            Target::Table(table) => {
                let exchange = self.sink_exchange(rel, &table);
                let (name, schema) = (table.short_name().to_owned(), Arc::clone(&table.schema));
                (Operator::Sink { table }, format!("sink: {name}"), schema, exchange)
            }
            Target::View(name) => {
                let label = format!("view: {}", name.rsplit('.').next().unwrap_or(&name));
                (Operator::View { name, key }, label, rel.schema(), Exchange::Forward)
            }
        };
        let identity = match &operator {
            Operator::Sink { table } => table.name.clone(),
            Operator::View { name, .. } => name.clone(),
            _ => String::new(),
        };
        let kind = if matches!(operator, Operator::View { .. }) { "view" } else { "sink" };
        let node = Node {
            uid: self.uid(kind, &identity),
            name,
            operator,
            inputs: vec![Edge::new(written.node, exchange)],
            schema,
            updating: rel.updating,
            rowtime: rowtime(rel),
        };
        self.graph.add(node);
        Ok(())
    }

    /// Changes of one key must be written in order, so by one subtask.
    fn sink_exchange(&self, rel: &Rel, table: &TableSpec) -> Exchange {
        if !rel.updating || table.primary_key.is_empty() {
            return Exchange::Forward;
        }
        if rel.key.as_ref() == Some(&table.primary_key) {
            return Exchange::Forward;
        }
        Exchange::Hash(table.primary_key.clone())
    }

    fn uid(&mut self, kind: &str, identity: &str) -> String {
        let uid = format!("{kind}-{:016x}", xxh3_64(format!("{kind}:{identity}").as_bytes()));
        let count = self.uids.entry(uid.clone()).or_insert(0);
        *count += 1;
        if *count == 1 { uid } else { format!("{uid}-{count}") }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a node, each once")]
    fn add(
        &mut self,
        rel: &Rel,
        kind: &str,
        name: String,
        identity: &str,
        operator: Operator,
        inputs: Vec<Edge>,
        schema: SchemaRef,
    ) -> NodeId {
        let uid = self.uid(kind, identity);
        let rowtime = rowtime(rel);
        self.graph.add(Node {
            uid,
            name,
            operator,
            inputs,
            schema,
            updating: rel.updating,
            rowtime,
        })
    }

    /// Writes a step, unless an equal one is there.
    #[recursive::recursive]
    fn rel(&mut self, rel: &Rel, update_before: bool) -> Result<Written> {
        match &rel.node {
            RelNode::Scan(scan) => self.scan(rel, scan),
            RelNode::Values(_) => Err(SqlError::not_supported(
                "mixing constant rows with tables in a job is not supported",
            )),
            RelNode::Calc { input, filter, exprs } => {
                self.calc(rel, input, filter.as_ref(), exprs, update_before)
            }
            RelNode::AssignWindow { input, window, time } => {
                let below = self.rel(input, update_before)?;
                let text = format!("assign {window:?} {time:?} ({})", below.text);
                self.once(text, |this, text| {
                    let operator =
                        Operator::AssignWindow { window: *window, time: window_time(*time) };
                    let edge = Edge::new(below.node, Exchange::Forward);
                    let name = "assign window".to_owned();
                    Ok(this.add(
                        rel,
                        "assign-window",
                        name,
                        text,
                        operator,
                        vec![edge],
                        rel.schema(),
                    ))
                })
            }
            RelNode::Sessions { .. } => Err(SqlError::not_supported(
                "SESSION windows of a table function without GROUP BY window_start, window_end \
                 and exactly its PARTITION BY columns are not supported",
            )),
            RelNode::WindowAggregate { .. } => self.window_aggregate(rel),
            RelNode::GroupAggregate { input, keys, calls } => {
                self.group_aggregate(rel, input, keys, calls, update_before)
            }
            RelNode::Union { inputs } => self.union(rel, inputs, update_before),
        }
    }

    fn once(
        &mut self,
        text: String,
        make: impl FnOnce(&mut Self, &str) -> Result<NodeId>,
    ) -> Result<Written> {
        if let Some(&node) = self.shared.get(&text) {
            return Ok(Written { node, text });
        }
        let node = make(self, &text)?;
        self.shared.insert(text.clone(), node);
        Ok(Written { node, text })
    }

    fn scan(&mut self, rel: &Rel, scan: &Scan) -> Result<Written> {
        let mut scan = scan.clone();
        super::prune::prune_rows(&mut scan);
        let scan = &scan;
        let names: Vec<String> = scan.physical.iter().map(|column| column.name.clone()).collect();
        let exprs: Vec<String> = scan.exprs.iter().map(|expr| expr.to_sql(&names)).collect();
        let watermark = scan
            .watermark
            .as_ref()
            .map(|(rowtime, expr)| format!("{rowtime} {}", expr.to_sql(&rel.names())));
        let text = format!("scan {} {exprs:?} {watermark:?}", scan.table.name);
        self.once(text, |this, _| {
            let operator = Operator::Source(this.source(rel, scan)?);
            let name = format!("source: {}", scan.table.name.name);
            let identity = scan.table.name.to_string();
            Ok(this.add(rel, "source", name, &identity, operator, Vec::new(), rel.schema()))
        })
    }

    fn source(&self, rel: &Rel, scan: &Scan) -> Result<SourceNode> {
        let mut used = vec![false; scan.physical.len()];
        for expr in &scan.exprs {
            expr.walk(&mut |part| {
                if let Some(column) = part.as_column() {
                    used[column] = true;
                }
            });
        }
        // Rows are counted by some column.
        if used.iter().all(|used| !used)
            && let Some(first) = used.first_mut()
        {
            *first = true;
        }
        let columns: Vec<usize> = (0..used.len()).filter(|&column| used[column]).collect();
        let place = |column: usize, expr: &TypedExpr| {
            let place = columns.iter().position(|&kept| kept == column)?;
            Some(TypedExpr { kind: crate::expr::Kind::Column(place), ..expr.clone() })
        };
        let names: Vec<String> =
            columns.iter().map(|&column| scan.physical[column].name.clone()).collect();
        let projection = scan
            .exprs
            .iter()
            .map(|expr| {
                let mut expr = expr.clone();
                expr.replace_columns(&place);
                to_expression(&expr, &names)
            })
            .collect::<Result<Vec<_>>>()?;
        let watermark = match &scan.watermark {
            Some((rowtime, expr)) => Some(WatermarkSpec {
                rowtime: *rowtime,
                expression: to_expression(expr, &rel.names())?,
                idle_timeout: self.settings.duration("table.exec.source.idle-timeout"),
            }),
            None => None,
        };
        Ok(SourceNode { table: scan.spec(), columns, projection, watermark })
    }

    fn calc(
        &mut self,
        rel: &Rel,
        input: &Rel,
        filter: Option<&TypedExpr>,
        exprs: &[TypedExpr],
        update_before: bool,
    ) -> Result<Written> {
        // What a filter lets through of an update depends on both of its halves.
        let below = self.rel(input, update_before || filter.is_some())?;
        let names = input.names();
        let filter_text = filter.map(|filter| filter.to_sql(&names));
        let expr_texts: Vec<String> = exprs
            .iter()
            .zip(&rel.columns)
            .map(|(expr, column)| format!("{}:{}", expr.to_sql(&names), column.name))
            .collect();
        let text = format!("calc {filter_text:?} {expr_texts:?} ({})", below.text);
        self.once(text, |this, text| {
            let operator = Operator::Calc {
                filter: filter.map(|filter| to_expression(filter, &names)).transpose()?,
                projection: exprs
                    .iter()
                    .map(|expr| to_expression(expr, &names))
                    .collect::<Result<_>>()?,
            };
            let edge = Edge::new(below.node, Exchange::Forward);
            Ok(this.add(rel, "calc", "calc".to_owned(), text, operator, vec![edge], rel.schema()))
        })
    }

    fn window_aggregate(&mut self, rel: &Rel) -> Result<Written> {
        let RelNode::WindowAggregate { input, window, time, keys, calls } = &rel.node else {
            return Err(SqlError::internal("a window aggregation was expected"));
        };
        let below = self.rel(input, true)?;
        let what = aggregate_text(input, keys, calls);
        let text = format!("window {window:?} {time:?} {what} ({})", below.text);
        self.once(text, |this, _| {
            let lateness = match time {
                RelTime::Event(_) => this.settings.allowed_lateness(),
                RelTime::Processing => 0,
            };
            let operator = Operator::WindowAggregate(WindowAggregate {
                window: *window,
                time: window_time(*time),
                keys: keys.clone(),
                aggregates: aggregate_calls(rel, input, keys.len(), calls),
                allowed_lateness: lateness,
            });
            let edge = Edge::new(below.node, by_keys(keys));
            let identity = format!("{window:?} {what} {}", source_names(rel));
            let name = "window aggregate".to_owned();
            Ok(this.add(
                rel,
                "window-aggregate",
                name,
                &identity,
                operator,
                vec![edge],
                rel.schema(),
            ))
        })
    }

    fn group_aggregate(
        &mut self,
        rel: &Rel,
        input: &Rel,
        keys: &[usize],
        calls: &[RelCall],
        update_before: bool,
    ) -> Result<Written> {
        let below = self.rel(input, true)?;
        let what = aggregate_text(input, keys, calls);
        let text = format!("group {what} {update_before} ({})", below.text);
        self.once(text, |this, _| {
            let ttl: Option<Millis> = this.settings.duration("table.exec.state.ttl");
            let operator = Operator::GroupAggregate(GroupAggregate {
                keys: keys.to_vec(),
                aggregates: aggregate_calls(rel, input, keys.len(), calls),
                ttl,
                update_before,
            });
            let edge = Edge::new(below.node, by_keys(keys));
            let identity = format!("{what} {}", source_names(rel));
            let name = if calls.is_empty() { "distinct" } else { "group aggregate" }.to_owned();
            Ok(this.add(
                rel,
                "group-aggregate",
                name,
                &identity,
                operator,
                vec![edge],
                rel.schema(),
            ))
        })
    }

    /// A step of several inputs that passes all rows on.
    fn union(&mut self, rel: &Rel, inputs: &[Rel], update_before: bool) -> Result<Written> {
        let below = inputs
            .iter()
            .map(|input| self.rel(input, update_before))
            .collect::<Result<Vec<_>>>()?;
        let texts: Vec<&str> = below.iter().map(|written| written.text.as_str()).collect();
        let text = format!("union ({})", texts.join(", "));
        self.once(text, |this, text| {
            let names = rel.names();
            let projection = rel
                .all_columns()
                .iter()
                .map(|column| to_expression(column, &names))
                .collect::<Result<_>>()?;
            let operator = Operator::Calc { filter: None, projection };
            let edges =
                below.iter().map(|written| Edge::new(written.node, Exchange::Forward)).collect();
            Ok(this.add(rel, "union", "union".to_owned(), text, operator, edges, rel.schema()))
        })
    }
}

impl Scan {
    /// The table as the source sees it: rows have only the fields that are read.
    fn spec(&self) -> TableSpec {
        let mut spec = self.table.source_spec();
        let fields: Vec<_> = spec
            .schema
            .fields()
            .iter()
            .zip(&self.physical)
            .map(|(field, column)| {
                let pruned = column.sql_type.to_field(field.name(), field.is_nullable());
                let mut metadata = field.metadata().clone();
                metadata.extend(pruned.metadata().clone());
                pruned.with_metadata(metadata)
            })
            .collect();
        spec.schema = Arc::new(datafusion::arrow::datatypes::Schema::new(fields));
        spec
    }
}

fn rowtime(rel: &Rel) -> Option<usize> {
    rel.columns.iter().position(|column| column.time == TimeAttribute::Rowtime)
}

fn window_time(time: RelTime) -> WindowTime {
    match time {
        RelTime::Event(column) => WindowTime::Event { column },
        RelTime::Processing => WindowTime::Processing,
    }
}

fn by_keys(keys: &[usize]) -> Exchange {
    if keys.is_empty() { Exchange::Single } else { Exchange::Hash(keys.to_vec()) }
}

/// Keys and calls by the names of their columns.
fn aggregate_text(input: &Rel, keys: &[usize], calls: &[RelCall]) -> String {
    let name = |column: usize| {
        let column = &input.columns[column];
        format!("{} {}", column.name, column.sql_type)
    };
    let keys: Vec<String> = keys.iter().map(|&key| name(key)).collect();
    let calls: Vec<String> = calls
        .iter()
        .map(|call| {
            let argument = call.argument.map(name);
            let filter = call.filter.map(name);
            format!("{}({argument:?} {} {filter:?}) {}", call.name, call.distinct, call.returns)
        })
        .collect();
    format!("{keys:?} {calls:?}")
}

fn aggregate_calls(rel: &Rel, input: &Rel, keys: usize, calls: &[RelCall]) -> Vec<AggregateCall> {
    calls
        .iter()
        .zip(&rel.columns[keys..])
        .map(|(call, column)| AggregateCall {
            function: call.function,
            argument: call.argument,
            argument_type: call.argument.map(|column| input.columns[column].sql_type.to_arrow()),
            distinct: call.distinct,
            filter: call.filter,
            name: column.name.clone(),
            result_type: call.returns.to_arrow(),
        })
        .collect()
}

fn source_names(rel: &Rel) -> String {
    let mut tables = Vec::new();
    rel.tables(&mut tables);
    let names: Vec<String> = tables.iter().map(|table| table.name.to_string()).collect();
    names.join(",")
}
