// The least that a JavaScript action does for one AWS call: AWS's own client, bundled into one file as such actions are.
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";

const identity = await new STSClient({}).send(new GetCallerIdentityCommand({}));
if (identity.Account !== process.env.AWS_ACCESS_KEY_ID) throw new Error(`unexpected account ${identity.Account}`);
