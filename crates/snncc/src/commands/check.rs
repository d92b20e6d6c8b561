//! `snncc check`: all problems of a network, and whether it fits a target.

use crate::args::CheckArgs;
use crate::compilation::{Fit, Follower, Job, apply_overrides, options};
use crate::conversion;
use crate::host::OnHost;
use crate::load;
use crate::machine;
use crate::session::{self, Outcome, Session};
use serde_json::json;
use snncc_compile::lower::{LowerOptions, lower};
use snncc_convert::prepare::{self, Exactness, Fate};
use snncc_ids::{Diagnostic, Diagnostics, Severity};

/// What a check found, for its JSON form.
struct Findings {
    problems: Vec<Diagnostic>,
    fit: Option<Fit>,
    fits: Option<bool>,
}

/// Checks a network.
pub(crate) fn run(session: &mut Session, args: &CheckArgs) -> Outcome {
    session.json = args.json;
    if conversion::is_model(&args.network) {
        return model(session, args);
    }
    let network = load::network(session, &args.network);
    let target = args.target.as_deref().map(|name| load::target(session, name)).transpose();
    // Both are reported before either stops the check.
    let loaded = network.and_then(|network| target.map(|target| (network, target)));
    let (mut network, target) = match loaded {
        Ok(loaded) => loaded,
        Err(failure) => {
            if args.json {
                print_json(session, &Findings { problems: Vec::new(), fit: None, fits: None }, false);
            }
            return Err(failure);
        }
    };
    apply_overrides(&mut network.network, &args.lowering);
    let mut findings = Findings { problems: Vec::new(), fit: None, fits: None };
    let host = match OnHost::of(&network.network, &args.host.host) {
        Ok(host) => host,
        Err(problems) => {
            let failure = session.fail(network.annotate(problems.0), Some(&network.source));
            if args.json {
                print_json(session, &findings, false);
            }
            return Err(failure);
        }
    };
    let chip_network = host.as_ref().map_or(&network.network, |host| &host.cut.chip);
    match &target {
        None => {
            let options = LowerOptions {
                align: !args.lowering.no_align,
                allow_loop_latency: args.lowering.allow_loop_latency,
                reset: args.lowering.approximate_reset.then_some(snncc_ir::network::Reset::ToValue),
                ..LowerOptions::default()
            };
            match lower(chip_network, &options) {
                Ok(lowered) => findings.problems = lowered.warnings,
                Err(problems) => findings.problems = problems.0,
            }
        }
        Some(target) => {
            let options = options(chip_network, &target.target, &args.lowering, &args.quantize, &args.mapping);
            match options {
                Err(problems) => findings.problems = problems.0,
                Ok(options) => {
                    let job = Job { network: &network, target, options, calibration: None, host };
                    with_target(session, &job, &mut findings);
                }
            }
        }
    }
    let problems = network.annotate(std::mem::take(&mut findings.problems));
    findings.problems = problems.0.clone();
    let ok = !problems.has_errors();
    let source = network.source.clone();
    let outcome = if ok {
        session.say(problems.0, Some(&source));
        Ok(0)
    } else {
        Err(session.fail(problems, Some(&source)))
    };
    if args.json {
        print_json(session, &findings, ok);
    } else if ok {
        let name = args.network.display();
        match (&target, &findings.fit) {
            (Some(target), Some(fit)) => session::print(&format!(
                "{name}: ok; fits `{}` on {} of {} cores\n",
                target.target.name(),
                fit.cores,
                target.target.usable_cores()
            )),
            _ => session::print(&format!("{name}: ok\n")),
        }
    }
    if ok {
        let target = args.target.as_deref().unwrap_or("loihi-emu");
        session.next(&format!("snncc compile {} --target {target} -o out", args.network.display()));
    }
    outcome
}

/// Checks a trained network: every node of the file, and what becomes of it.
fn model(session: &mut Session, args: &CheckArgs) -> Outcome {
    if !args.host.host.is_empty() {
        return Err(session.usage("--host is for spiking networks; `snncc compile` takes it for a trained one too"));
    }
    let model = conversion::read(session, &args.network)?;
    let options = args.conversion.options(conversion::STEPS, args.lowering.dt);
    let fates = prepare::check(&model.ann, &options);
    let prepared = prepare::prepare(&model.ann, &options);
    let name = |exactness: Exactness| match exactness {
        Exactness::Exact => "exact",
        Exactness::Approximate => "approximate",
        Exactness::Unsupported => "unsupported",
    };
    if !args.json {
        let width = |of: &dyn Fn(&Fate) -> usize| fates.iter().map(of).max().unwrap_or(0).max(4);
        let (names, kinds) = (width(&|fate| fate.name.chars().count()), width(&|fate| fate.kind.chars().count()));
        let mut text = format!("{:names$}  {:kinds$}  {:11}  what becomes of it\n", "node", "type", "");
        for fate in &fates {
            text +=
                &format!("{:names$}  {:kinds$}  {:11}  {}\n", fate.name, fate.kind, name(fate.exactness), fate.note);
        }
        let count = |exactness: Exactness| fates.iter().filter(|fate| fate.exactness == exactness).count();
        let counts = [Exactness::Exact, Exactness::Approximate, Exactness::Unsupported].map(count);
        text += &format!(
            "{} nodes: {} exact, {} approximate, {} unsupported\n",
            fates.len(),
            counts[0],
            counts[1],
            counts[2]
        );
        session::print(&text);
    }
    let outcome = match prepared {
        Ok(prepared) => {
            session.say(prepared.warnings, Some(&model.source));
            Ok(0)
        }
        Err(problems) => Err(session.fail(problems, Some(&model.source))),
    };
    if args.json {
        let node = |fate: &Fate| json!({"name": fate.name, "type": fate.kind, "exactness": name(fate.exactness), "note": fate.note});
        session::print_json(&json!({
            "ok": outcome.is_ok(),
            "nodes": fates.iter().map(node).collect::<Vec<_>>(),
            "errors": session.count(Severity::Error),
            "warnings": session.count(Severity::Warning),
            "diagnostics": session.diagnostics_json(),
        }));
    }
    if outcome.is_ok() {
        session.next(&format!("snncc convert {} --calibrate DATA", args.network.display()));
    }
    outcome
}

fn with_target(session: &Session, job: &Job<'_>, findings: &mut Findings) {
    let mut follower = Follower::new(session, &[]);
    if machine::is_machine(&job.target.target) {
        // Mapping takes no longer than a look at the sizes.
        match job.compile_for_machine(&mut follower) {
            Ok(compiled) => {
                let cores = compiled.cores.len();
                (findings.fit, findings.fits) = (Some(Fit { cores, at_least: cores as u32 }), Some(true));
                findings.problems = std::mem::take(&mut follower.warnings);
            }
            Err(stopped) => {
                findings.fits = Some(false);
                findings.problems = stopped.problems.0;
            }
        }
        return;
    }
    let quantized = job.quantized(&job.options, &mut follower);
    findings.problems = std::mem::take(&mut follower.warnings);
    let quantized = match quantized {
        Ok(quantized) => Some(quantized),
        Err(problems) => {
            findings.problems.extend(problems.0);
            // Values that do not fit their fields do not hide what does not fit the cores.
            job.saturated()
        }
    };
    let Some(quantized) = quantized else { return };
    match job.fits(quantized, &mut follower) {
        Ok(fit) => {
            findings.fits = Some(true);
            findings.fit = Some(fit);
        }
        Err(Diagnostics(problems)) => {
            findings.fits = Some(false);
            findings.problems.extend(problems);
        }
    }
    findings.problems.append(&mut follower.warnings);
}

fn print_json(session: &Session, findings: &Findings, ok: bool) {
    session::print_json(&json!({
        "ok": ok,
        "errors": session.count(Severity::Error),
        "warnings": session.count(Severity::Warning),
        "fits": findings.fits,
        "cores": findings.fit.as_ref().map(|fit| fit.cores),
        "cores_at_least": findings.fit.as_ref().map(|fit| fit.at_least),
        "diagnostics": session.diagnostics_json(),
    }));
}
