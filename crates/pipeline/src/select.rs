//! `select` without windows and groups.

use crate::{ProcessContext, graph::Graph, instance::context, receipts::Ended};
use tremor_event::{Event, EventBatch};
use tremor_lang::{Inputs, RuntimeError, Select};
use tremor_value::{Payload, Value};

/// A copy of those events of `batch` that the filter lets pass. The errors of others are told, and end their way.
pub(crate) fn filtered_copy(
    select: &Select,
    args: &Value,
    batch: &EventBatch,
    graph: &Graph,
    ctx: &ProcessContext<'_>,
) -> EventBatch {
    let mut ended = Ended::default();
    let mut copy = EventBatch { events: Vec::new(), bytes: batch.bytes };
    for event in &batch.events {
        match filter(select, args, event, ctx) {
            Ok(true) => copy.events.push(event.clone()),
            Ok(false) => {}
            Err(error) => {
                ctx.report.select_failed(&error, &graph.sources);
                ended.fail_branch(event);
            }
        }
    }
    ended.settle();
    copy
}

/// The events of `batch` that go on, with their new payloads; `is_filtered` if these are all that the filter lets
/// pass.
pub(crate) fn run(
    select: &Select,
    args: &Value,
    mut batch: EventBatch,
    is_filtered: bool,
    graph: &Graph,
    ctx: &ProcessContext<'_>,
) -> EventBatch {
    let passes = select.target.is_event();
    let filters = select.filter.is_some() && !is_filtered;
    if passes && !filters && select.having.is_none() {
        return batch;
    }
    let mut ended = Ended::default();
    batch.events.retain_mut(|event| match select_event(select, args, event, (filters, passes), ctx) {
        Ok(true) => true,
        Ok(false) => {
            ended.discard(event);
            false
        }
        Err(error) => {
            ctx.report.select_failed(&error, &graph.sources);
            ended.fail(event);
            false
        }
    });
    ended.settle();
    batch
}

/// What the `where` of a select says.
fn filter(
    select: &Select,
    args: &Value,
    event: &Event,
    ctx: &ProcessContext<'_>,
) -> Result<bool, RuntimeError> {
    let Some(filter) = &select.filter else { return Ok(true) };
    let context = context(event, ctx.host);
    let inputs = Inputs::new(&event.payload, &event.meta, args, &context);
    filter.holds(&inputs, "where", select.span)
}

/// Whether the event goes on, with the target as its payload.
fn select_event(
    select: &Select,
    args: &Value,
    event: &mut Event,
    (filters, passes): (bool, bool),
    ctx: &ProcessContext<'_>,
) -> Result<bool, RuntimeError> {
    if filters && !filter(select, args, event, ctx)? {
        return Ok(false);
    }
    if !passes {
        let context = context(event, ctx.host);
        let inputs = Inputs::new(&event.payload, &event.meta, args, &context);
        let value = select.target.evaluate(&inputs)?.into_value();
        event.payload = Payload::from(value);
    }
    let Some(having) = &select.having else { return Ok(true) };
    let context = context(event, ctx.host);
    let inputs = Inputs::new(&event.payload, &event.meta, args, &context);
    having.holds(&inputs, "having", select.span)
}
