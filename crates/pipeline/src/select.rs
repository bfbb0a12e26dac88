//! `select` without windows and groups.

use crate::{ProcessContext, graph::Graph, instance::context, receipts::Ended};
use tremor_event::{Event, EventBatch};
use tremor_lang::{Inputs, RuntimeError, Select};
use tremor_value::{Payload, Value};

/// The events of `batch` that go on, with their new payloads.
pub(crate) fn run(
    select: &Select,
    args: &Value,
    mut batch: EventBatch,
    graph: &Graph,
    ctx: &ProcessContext<'_>,
) -> EventBatch {
    let passes = select.target.is_event();
    if passes && select.filter.is_none() && select.having.is_none() {
        return batch;
    }
    let mut ended = Ended::default();
    batch.events.retain_mut(|event| match select_event(select, args, event, passes, ctx) {
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

/// Whether the event goes on, with the target as its payload.
fn select_event(
    select: &Select,
    args: &Value,
    event: &mut Event,
    passes: bool,
    ctx: &ProcessContext<'_>,
) -> Result<bool, RuntimeError> {
    if let Some(filter) = &select.filter {
        let context = context(event, ctx.host);
        let inputs = Inputs::new(&event.payload, &event.meta, args, &context);
        if !filter.holds(&inputs, "where", select.span)? {
            return Ok(false);
        }
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
