// The figures and plots of docs/Balancing.md.

import ArgumentParser
import Foundation
import SkeinSimulation

struct Balancing: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the scenarios of docs/Balancing.md, print their table, and write their plots.")

    @Option(help: "The seed.")
    var seed: UInt64 = 1

    @Option(help: ArgumentHelp("A folder for the plots.", valueName: "folder"))
    var plots: String?

    @Flag(help: "Only say whether the bars are met; the exit code is 1 if one is not.")
    var check = false

    @Flag(help: "Measure the time of a decision and its report, without a network.")
    var time = false

    func run() throws {
        if time {
            for members in [1, 2, 3, 10, 100] {
                print(
                    "\(members) members: \(BalancingScenario.nanoseconds(members: members, seed: seed)) ns for a pick and its report"
                )
            }
            return
        }
        if check {
            let missed = BalancingBars.missed(seed: seed)
            print(missed.isEmpty ? "balancing: all bars are met" : missed.joined(separator: "\n"))
            if !missed.isEmpty { throw ExitCode(1) }
            return
        }
        print("| scenario | policy | answered | p50 | p99 | p99.9 | attempts per request |")
        print("|---|---|---|---|---|---|---|")
        let slow = BalancingScenario.slowMember
        say("one of eleven members slow, 1 s limit", "default", slow)
        say("", "least requests, one attempt", slow.with(.leastRequests, hedging: false, retries: false))
        say("", "round robin, one attempt", slow.with(.roundRobin, hedging: false, retries: false).withoutEjection)
        let unequal = BalancingScenario.unequalMembers
        let usual = say("ten unequal members, 50 in flight", "default", unequal)
        say("", "peak EWMA without second attempts", unequal.with(.peakEWMA, hedging: false))
        say("", "least requests", unequal.with(.leastRequests, hedging: false))
        let inTurn = say("", "round robin", unequal.with(.roundRobin, hedging: false))
        let tail = BalancingScenario.heavyTail
        say("one answer in a hundred takes a second", "default", tail)
        say("", "without second attempts", tail.with(.peakEWMA, hedging: false))
        let outage = say("all members fail for 30 of 100 s", "default", .outage)
        say("a thousand clients, twelve members", "default", .manyClients)
        guard let plots else { return }
        let quantiles = (0...100).map { 1 - pow(10, -Double($0) / 100 * 3.5) }
        func curve(_ report: BalancingScenario.Report) -> [Double] {
            quantiles.map { log10(max(0.1, report.quantile($0) / .milliseconds(1))) }
        }
        try Plot(
            title: "Latency by quantile, ten unequal members", across: ["p0", "p90", "p99", "p99.9", "p99.97"],
            up: ["0.1 ms", "1 ms", "10 ms", "100 ms", "1 s"], range: -1...3,
            lines: [("default", curve(usual)), ("round robin", curve(inTurn))]
        ).svg.write(toFile: "\(plots)/balancing-quantiles.svg", atomically: true, encoding: .utf8)
        try Plot(
            title: "All members fail from 20 s to 50 s: a second's requests",
            across: ["0 s", "25 s", "50 s", "75 s", "100 s"],
            up: ["0", "500", "1 000", "1 500"], range: 0...1500,
            lines: [
                ("attempts", outage.seconds.prefix(100).map { Double($0.attempts) }),
                ("answered", outage.seconds.prefix(100).map { Double($0.answered) }),
            ]
        ).svg.write(toFile: "\(plots)/balancing-outage.svg", atomically: true, encoding: .utf8)
    }

    @discardableResult
    private func say(_ name: String, _ policy: String, _ scenario: BalancingScenario) -> BalancingScenario.Report {
        let report = scenario.run(seed: seed)
        func milliseconds(_ share: Double) -> String {
            String(format: "%.1f ms", report.quantile(share) / .milliseconds(1))
        }
        print(
            "| \(name) | \(policy) | \(String(format: "%.2f %%", report.success * 100)) | \(milliseconds(0.5)) | \(milliseconds(0.99)) "
                + "| \(milliseconds(0.999)) | \(String(format: "%.3f", Double(report.attempts) / Double(report.requests))) |"
        )
        return report
    }
}

/// A diagram of lines over an evenly divided axis.
private struct Plot {
    let title: String
    let across: [String]
    let up: [String]
    let range: ClosedRange<Double>
    let lines: [(name: String, values: [Double])]

    var svg: String {
        let (left, top, width, height) = (64.0, 36.0, 520.0, 220.0)
        let colours = ["#3a7bd5", "#d5553a"]
        func y(_ value: Double) -> Double {
            let share = (min(max(value, range.lowerBound), range.upperBound) - range.lowerBound)
            return top + height * (1 - share / (range.upperBound - range.lowerBound))
        }
        var parts = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 600 300\" font-family=\"sans-serif\" font-size=\"12\">",
            "<rect width=\"600\" height=\"300\" fill=\"#fff\"/><text x=\"\(left)\" y=\"20\" font-size=\"14\">\(title)</text>",
        ]
        for (index, label) in up.enumerated() {
            let line = top + height * (1 - Double(index) / Double(up.count - 1))
            parts.append("<line x1=\"\(left)\" x2=\"\(left + width)\" y1=\"\(line)\" y2=\"\(line)\" stroke=\"#ddd\"/>")
            parts.append("<text x=\"\(left - 6)\" y=\"\(line + 4)\" text-anchor=\"end\">\(label)</text>")
        }
        for (index, label) in across.enumerated() {
            let place = left + width * Double(index) / Double(across.count - 1)
            parts.append("<text x=\"\(place)\" y=\"\(top + height + 18)\" text-anchor=\"middle\">\(label)</text>")
        }
        for (number, line) in lines.enumerated() {
            let points = line.values.enumerated().map { index, value in
                String(
                    format: "%.1f,%.1f", left + width * Double(index) / Double(max(1, line.values.count - 1)), y(value))
            }
            parts.append(
                "<polyline fill=\"none\" stroke=\"\(colours[number % 2])\" stroke-width=\"2\" points=\"\(points.joined(separator: " "))\"/>"
            )
            parts.append(
                "<text x=\"\(left + 10)\" y=\"\(top + 16 + 16 * Double(number))\" fill=\"\(colours[number % 2])\">\(line.name)</text>"
            )
        }
        return parts.joined(separator: "\n") + "\n</svg>\n"
    }
}
