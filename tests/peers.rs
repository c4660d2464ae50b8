//! The programs beside us judge what we ship and what we say: `amtool` our example for Alertmanager, `promtool` our
//! rules for Prometheus and their tests. `tests/run` installs both; without them this fails.

mod support;

use support::tool::{assert_exit, run};

#[test]
fn amtool_accepts_the_example_for_alertmanager() {
    assert_exit(&run("amtool", &["check-config", "alertmanager.yml"], ""), 0, "alertmanager.yml");
    // The program does judge.
    assert_exit(&run("amtool", &["check-config", "prometheus.yml"], ""), 1, "prometheus.yml is none");
}

#[test]
fn promtool_accepts_the_examples_for_prometheus() {
    assert_exit(&run("promtool", &["check", "rules", "gpu-node-rules.yml"], ""), 0, "gpu-node-rules.yml");
    assert_exit(&run("promtool", &["test", "rules", "gpu-node-rules.test.yml"], ""), 0, "gpu-node-rules.test.yml");
    assert_exit(&run("promtool", &["check", "rules", "remedyd-rules.yml"], ""), 0, "remedyd-rules.yml");
    assert_exit(&run("promtool", &["test", "rules", "remedyd-rules.test.yml"], ""), 0, "remedyd-rules.test.yml");
    assert_exit(&run("promtool", &["check", "rules", "alertmanager.yml"], ""), 1, "alertmanager.yml has no rules");
}

#[test]
fn promtool_accepts_the_example_for_prometheus_itself() {
    // Syntax only: the files and certificates that an installation has are not here.
    let output = run("promtool", &["check", "config", "--syntax-only", "prometheus.yml"], "");
    assert_exit(&output, 0, "prometheus.yml");
}
