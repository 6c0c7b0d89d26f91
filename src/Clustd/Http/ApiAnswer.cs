using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;

namespace Clustd.Http;

/// <summary>Why a request was not served: what happened; why; what to do.</summary>
public sealed record ApiProblem(string What, string Why, string Do);

/// <summary>A whole answer, made before the first byte of it is sent.</summary>
internal sealed record ApiAnswer(int Status, string ContentType, byte[] Body)
{
    public static ApiAnswer Json<T>(int status, T value, JsonTypeInfo<T> type) => new(status, "application/json; charset=utf-8", JsonSerializer.SerializeToUtf8Bytes(value, type));

    public static ApiAnswer Text(int status, string sentence) => new(status, "text/plain; charset=utf-8", Encoding.UTF8.GetBytes(sentence + "\n"));

    public static ApiAnswer Problem(int status, string what, string why, string @do) => Json(status, new ApiProblem(what, why, @do), ApiJson.Default.ApiProblem);

    public async Task WriteAsync(HttpContext context)
    {
        var response = context.Response;
        response.StatusCode = Status;
        response.ContentType = ContentType;
        response.ContentLength = Body.Length;
        response.Headers.CacheControl = "no-store"; // What it says is true now.
        response.Headers.XContentTypeOptions = "nosniff";
        if (!HttpMethods.IsHead(context.Request.Method))
        {
            await response.Body.WriteAsync(Body, context.RequestAborted);
        }
    }
}
