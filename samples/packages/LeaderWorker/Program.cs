// Ticks on the master and nowhere else.   Clustd__Secret=... dotnet run
using LeaderWorker;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

var builder = Host.CreateApplicationBuilder(args);
builder.Services.AddClustdMaster<Ticker>();
builder.Build().Run();
