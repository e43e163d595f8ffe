// Options that the commands for AWS services share.

import ArgumentParser
import Skein
import SkeinAWS

struct AmazonOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The region. Default: AWS_REGION, or the profile's.", valueName: "name"))
    var region: String?

    @Option(
        help: ArgumentHelp(
            "The URL of the service. Default: AWS_ENDPOINT_URL, or Amazon's.", valueName: "url"))
    var endpoint: String?

    @Flag(help: "Print responses as JSON.")
    var json = false

    var options: AWSConfiguration { AWSConfiguration(region: region, endpoint: endpoint) }

    static let discussion = """
        Credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), from ~/.aws (AWS_PROFILE), from the container or \
        from the instance metadata service. The exit code is 1 when the service returns an error or does not respond.
        """
}
