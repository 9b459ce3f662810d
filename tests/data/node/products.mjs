// Node.js 24 Lambda handler - using native fetch (stable in Node 24)
// No more node-fetch or axios needed for simple HTTP calls
export const handler = async (event) => {
const tenantId = event.requestContext?.authorizer?.lambda?.tenantId;
// Native fetch - stable in Node.js 22+, improved performance in 24
const upstreamResponse = await fetch(
`${process.env.PRODUCTS_SERVICE_URL}/v2/products`,
{
method: "POST",
headers: {
"Content-Type": "application/json",
"X-Tenant-ID": tenantId,
"Authorization": `Bearer ${await getServiceToken()}`
},
body: JSON.stringify({ filter: event.body?.filter ?? {} }),
signal: AbortSignal.timeout(5000) // 5 second timeout - Node 24 feature
}
);
if (!upstreamResponse.ok) {
throw new Error(`Upstream error: ${upstreamResponse.status}`);
}
const products = await upstreamResponse.json();
return {
statusCode: 200,
headers: { "Content-Type": "application/json" },
body: JSON.stringify(products)
};
};
