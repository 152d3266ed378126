//! The one list from graph nodes to operators.

use arrow_schema::SchemaRef;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::graph::{self, Node};

use super::Operator;
use super::assign_window::AssignWindow;
use super::calc::Calc;
use super::group_aggregate::GroupedAggregate;
use super::window;

/// Builds one subtask of a node. `input_schema` is that of its inputs, `input_updating`
/// whether any of them gives changes other than inserts.
///
/// # Errors
/// [`StreamError::Invalid`] for types and measures that cannot work;
/// [`StreamError::Internal`] for nodes that are no operators: sources, sinks and views.
pub fn build(
    node: &Node,
    input_schema: &SchemaRef,
    input_updating: bool,
) -> Result<Box<dyn Operator>> {
    Ok(match &node.operator {
        graph::Operator::Calc { filter, projection } => {
            Box::new(Calc::new(filter.clone(), projection.clone(), node.schema.clone()))
        }
        graph::Operator::AssignWindow { window, time } => {
            Box::new(AssignWindow::new(*window, *time, input_schema, node.schema.clone())?)
        }
        graph::Operator::WindowAggregate(aggregate) => {
            window::build(aggregate, input_schema, node.schema.clone(), input_updating)?
        }
        graph::Operator::GroupAggregate(aggregate) => Box::new(GroupedAggregate::new(
            aggregate,
            input_schema,
            node.schema.clone(),
            input_updating,
        )?),
        graph::Operator::Source(_)
        | graph::Operator::Sink { .. }
        | graph::Operator::View { .. } => {
            return Err(StreamError::Internal(format!("{} is no operator", node.name)));
        }
    })
}
