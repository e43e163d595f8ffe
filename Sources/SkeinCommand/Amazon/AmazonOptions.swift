// Options that the commands for AWS services share.

import ArgumentParser
import Skein
import SkeinAWS

struct AmazonOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The region. Default: AWS_REGION, or the profile's.", valueName: "name"))
    var region: String?

    @Option(
        help: ArgumentHelp(
            "Where the service is, for one's own. Default: AWS_ENDPOINT_URL, or Amazon's.", valueName: "url"))
    var endpoint: String?

    @Flag(help: "Print the answers as JSON.")
    var json = false

    var options: AWSOptions { AWSOptions(region: region, endpoint: endpoint) }

    static let discussion = """
        Credentials are those of the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), of ~/.aws (AWS_PROFILE), of the container or of \
        the machine. Ends with 1 when the service refuses, or does not answer.
        """
}
