//! What the stats plugin makes of its configuration and of the node it is on.

use istio_stats::attachment::Attachment;
use istio_stats::host::fake::{FakeHost, Hostcall};
use istio_stats::stats::plugin::StatsPlugin;

use crate::story::{pick, Story, OUTBOUND};

#[test]
fn an_unusable_configuration_makes_the_plugin_inert_and_says_so_once() {
    let host = FakeHost::new();
    host.set_plugin_configuration("{oops");
    for vm in [&host, &host.another_vm(), &host.another_vm()] {
        vm.set_plugin_configuration("{oops");
        assert!(StatsPlugin::configure(vm).is_none());
    }
    let lines: Vec<_> = host.log_lines().into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("istio-stats: version "), "{lines:?}");
    assert!(lines[1].starts_with("istio-stats: configuration: not JSON ("), "{lines:?}");
    assert_eq!(host.gauge("istio_stats_config_errors"), Some(1));
}

#[test]
fn an_unreadable_configuration_is_one_error_and_the_defaults() {
    let host = FakeHost::new();
    host.fail(Hostcall::PluginConfiguration, 10);
    let story = Story::with_host(host, OUTBOUND, r#"{"labels": ["reporter"]}"#);
    story.serve();
    assert_eq!(story.request_labels().len(), 25);
    assert_eq!(story.complaints(), ["istio-stats: configuration: proxy_get_buffer_bytes returned status 10"]);
}

#[test]
fn a_bad_field_is_told_with_path_and_value_and_the_rest_works() {
    let story = Story::new(
        OUTBOUND,
        r#"{"tcp_reporting_duration": 5, "local": {"cluster_id": "west"}, "colour": "red"}"#,
    );
    let id = story.open();
    story.finish(id);
    assert_eq!(pick(&story.request_labels(), ["source_cluster", "source_workload"]), ["west", "web"]);
    let expected = [
        "istio-stats: configuration: tcp_reporting_duration: \
         expected a duration with its unit, \"5s\" for seconds, found 5; ignored",
        "istio-stats: configuration: colour: unknown field with value \"red\"; ignored",
    ];
    assert_eq!(story.complaints(), expected);
    assert_eq!(story.host.gauge("istio_stats_config_errors"), Some(2));
}

#[test]
fn the_build_names_istios_version() {
    let story = Story::new(OUTBOUND, "{}");
    assert_eq!(story.host.gauge("component.proxy.tag.1.29.2;.istio_build"), Some(1));
    let nameless = Story::with_host(FakeHost::new(), OUTBOUND, "{}");
    assert_eq!(nameless.host.gauge("component.proxy.tag.unknown;.istio_build"), Some(1));
}

#[test]
fn a_proxy_that_knows_nothing_of_itself_still_counts() {
    let story = Story::with_host(FakeHost::new(), OUTBOUND, "");
    let id = story.open();
    story.finish(id);
    let names =
        ["source_workload", "source_cluster", "source_canonical_service", "source_canonical_revision"];
    assert_eq!(pick(&story.request_labels(), names), ["unknown", "unknown", "unknown", "latest"]);
}

#[test]
fn the_kind_of_stream_is_found_out_or_configured() {
    for (configuration, protocol, attachment, reads) in [
        ("{}", Some("HTTP/2"), Attachment::Http, 1),
        ("{}", None, Attachment::Tcp, 1),
        (r#"{"attachment": "http"}"#, None, Attachment::Http, 0),
        (r#"{"attachment": "TCP"}"#, Some("HTTP/2"), Attachment::Tcp, 0),
    ] {
        let story = Story::new(OUTBOUND, configuration);
        story.host.open_stream();
        if let Some(protocol) = protocol {
            story.host.set_attribute(&["request", "protocol"], protocol);
        }
        story.host.reset_calls();
        assert_eq!(story.plugin.attachment(&story.host), attachment);
        assert_eq!(story.host.all_calls(), reads);
    }
}
