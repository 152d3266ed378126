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

/// What comes in at one input of an operator.
#[derive(Clone, Debug)]
pub struct InputSpec {
    /// Its columns.
    pub schema: SchemaRef,
    /// Whether there are changes other than inserts.
    pub updating: bool,
}

/// Builds one subtask of a node with these inputs.
///
/// # Errors
/// [`StreamError::Invalid`] for types and measures that cannot work;
/// [`StreamError::Internal`] for nodes that are no operators: sources, sinks and views.
pub fn build(node: &Node, inputs: &[InputSpec]) -> Result<Box<dyn Operator>> {
    let [InputSpec { schema: input_schema, updating }, ..] = inputs else {
        return Err(StreamError::Internal(format!("{} has no input", node.name)));
    };
    Ok(match &node.operator {
        graph::Operator::Calc { filter, projection } => {
            Box::new(Calc::new(filter.clone(), projection.clone(), node.schema.clone()))
        }
        graph::Operator::AssignWindow { window, time } => {
            Box::new(AssignWindow::new(*window, *time, input_schema, node.schema.clone())?)
        }
        graph::Operator::WindowAggregate(aggregate) => {
            window::build(aggregate, input_schema, node.schema.clone(), *updating)?
        }
        graph::Operator::GroupAggregate(aggregate) => Box::new(GroupedAggregate::new(
            aggregate,
            input_schema,
            node.schema.clone(),
            *updating,
        )?),
        graph::Operator::Source(_)
        | graph::Operator::Sink { .. }
        | graph::Operator::View { .. } => {
            return Err(StreamError::Internal(format!("{} is no operator", node.name)));
        }
    })
}
